-- The gateway's own role on the target: the second fence. Whatever the gateway forwards, the server lets it do no more.
-- Run this as an administrator of the database, with your own names, and with a password of your own in place of
-- 'choose-one': the same one goes into SHOP_PASSWORD. `countersign serve` refuses a role that is a superuser,
-- may replicate, bypasses row security, creates roles, or reaches the server's files and programs.

CREATE ROLE countersign LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD 'choose-one';
GRANT CONNECT ON DATABASE shop TO countersign;
GRANT USAGE ON SCHEMA public TO countersign;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO countersign;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO countersign;

-- The same for what is made later. Default privileges cover only what is made by the role that runs this: run it as the role
-- that makes your tables, or name that role with FOR ROLE.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO countersign;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO countersign;
