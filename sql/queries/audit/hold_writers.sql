-- audit/hold_writers
LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE
