-- The gateway's own role on the target: the second fence. Whatever the gateway forwards, the server lets it do no more.
-- Run this as an administrator of the database, with your own names. `countersign serve` refuses a role that is a superuser,
-- may replicate, bypasses row security, creates roles, or reaches the server's files and programs.

CREATE ROLE countersign LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD 'choose-one';
GRANT CONNECT ON DATABASE shop TO countersign;
GRANT USAGE ON SCHEMA public TO countersign;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO countersign;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO countersign;
