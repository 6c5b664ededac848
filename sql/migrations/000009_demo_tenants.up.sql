-- Two tenants to try things with.
SET LOCAL ROLE bailiwick_owner;
SET LOCAL app.current_user_role = 'admin';

INSERT INTO tenants (name, slug, settings, monthly_budget_usd) VALUES
    ('Demo Tenant', 'demo', '{"tier": "free"}', 50.00),
    ('Enterprise Tenant', 'enterprise', '{"tier": "enterprise"}', 500.00)
ON CONFLICT (slug) DO NOTHING;

SET LOCAL app.current_user_role = '';
