-- The roles around a journal in PostgreSQL, with no more rights than each needs. Run once, as an administrator, with psql:
--
--   psql -v program_password=… -v reader_password=… -f roles.sql
--
-- The program's role owns one database and is nothing else: it makes the schema `reseq` there and its partitions, and ends
-- only sessions of its own.
CREATE ROLE reseq LOGIN PASSWORD :'program_password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT;
CREATE DATABASE reseq OWNER reseq ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE reseq FROM PUBLIC;

-- Who looks: reads the tables, payloads too, and changes nothing.
CREATE ROLE reseq_reader LOGIN PASSWORD :'reader_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
GRANT CONNECT ON DATABASE reseq TO reseq_reader;
GRANT pg_read_all_stats TO reseq_reader; -- whether the owner's session is there

\connect reseq
CREATE SCHEMA reseq AUTHORIZATION reseq;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA reseq TO reseq_reader;
-- For the tables that the program is going to make.
ALTER DEFAULT PRIVILEGES FOR ROLE reseq IN SCHEMA reseq GRANT SELECT ON TABLES TO reseq_reader;
-- Once the program has started: the key of its index of ids is for nobody else, who could make ids that slow it down.
--
--   REVOKE SELECT ON reseq.secret FROM reseq_reader;

-- A destination's role, where a table of somebody else's is filled (postgresql://filler@…/books?table=ledger), needs in
-- that database (a start makes what is missing of schema and tables, if it may; since PostgreSQL 15, or after the REVOKE above, it may
-- make a table in public only after GRANT CREATE ON SCHEMA public TO filler):
--
--   CREATE SCHEMA reseq;
--   CREATE TABLE reseq.delivered (pipeline text NOT NULL, destination text NOT NULL, epoch bigint NOT NULL, last_sequence
--     bigint NOT NULL, last_message text NOT NULL, journal text NOT NULL DEFAULT '', written timestamptz, PRIMARY KEY
--     (pipeline, destination)) WITH (fillfactor = 30);
--   GRANT USAGE ON SCHEMA reseq TO filler;
--   GRANT SELECT, INSERT, UPDATE ON reseq.delivered TO filler;
--   CREATE TABLE public.ledger (sequence bigint PRIMARY KEY, position bigint NOT NULL, message_id text NOT NULL, key text,
--     headers jsonb NOT NULL, payload bytea NOT NULL, delivered_at timestamptz NOT NULL);
--   GRANT INSERT ON public.ledger TO filler;
--
-- SELECT on the columns sequence and message_id, too, lets it find out where the table has other messages than it should,
-- where a trigger changes these columns, and where there are messages and the row in reseq.delivered is gone: nothing is
-- written then.
-- All supervisors need the same role there: one that takes over ends the session of the one before, if that is stopped in
-- the middle of a transaction, and may end none of another role's.
-- Where an older version made reseq.delivered, its owner adds what says whose a row is: ALTER TABLE reseq.delivered ADD
-- journal text NOT NULL DEFAULT '', ADD written timestamptz;
