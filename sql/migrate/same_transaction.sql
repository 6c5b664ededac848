-- migrate/same_transaction: false once a migration has ended the transaction that it ran in.
SELECT pg_current_xact_id()::text = $1::text AS same;
