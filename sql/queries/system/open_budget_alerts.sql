-- system/open_budget_alerts
SELECT tenant_id, id FROM open_budget_alerts()
