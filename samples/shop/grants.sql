-- The gateway's own role on the shop: the second fence. Whatever the gateway forwards, the server lets it do no more than this.
-- `countersign serve` refuses a role that is stronger (superuser, replication, bypassrls, server files and programs).

CREATE ROLE countersign LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
GRANT CONNECT ON DATABASE shop TO countersign;
GRANT USAGE ON SCHEMA public TO countersign;
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders TO countersign;
GRANT SELECT ON payments TO countersign;
