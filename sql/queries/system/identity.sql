-- system/identity
-- Which database this is, by whatever way it was reached: a standby that was promoted is the same.
SELECT (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
       current_database()::text AS database
