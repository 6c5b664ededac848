-- system/upkeep_backlog
SELECT unsealed_s, stray_audit_logs, stray_costs, unmerged_chunks, months_ahead FROM upkeep_backlog()
