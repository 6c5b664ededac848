-- audit/database
SELECT current_database()::text AS name
