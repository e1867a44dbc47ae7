-- The shop: three tables and a few rows.

CREATE TABLE customers (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL
);

CREATE TABLE orders (
  id bigint PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers (id),
  item text NOT NULL,
  status text NOT NULL,
  placed_at timestamptz NOT NULL
);

CREATE TABLE payments (
  id bigint PRIMARY KEY,
  order_id bigint NOT NULL REFERENCES orders (id),
  iban text NOT NULL,
  cents bigint NOT NULL
);

INSERT INTO customers (id, name, email) VALUES
  (41, 'Grace Hopper', 'grace@example.org'),
  (42, 'Ada Lovelace', 'ada@exmaple.org'),
  (43, 'Edsger Dijkstra', 'edsger@example.org'),
  (44, 'Alan Turing', 'alan@example.org');

INSERT INTO orders (id, customer_id, item, status, placed_at) VALUES
  (1001, 41, 'nanosecond wire, 30 cm', 'shipped', '2026-11-18 09:12:00+00'),
  (1002, 42, 'punched cards, 500', 'bounced: bad address', '2026-11-20 14:03:00+00'),
  (1003, 43, 'chalk, white', 'packed', '2026-11-21 16:40:00+00');

INSERT INTO payments (id, order_id, iban, cents) VALUES
  (1, 1001, 'DE02120300000000202051', 1999),
  (2, 1002, 'DE02500105170137075030', 4900),
  (3, 1003, 'DE02100500000054540402', 350);
