//! Takes the fence away, to see that the check would notice.

use tokio_postgres::Client;

use crate::Result;

/// Rows may be written twice, and the end of a call neither needs nor removes its intent.
const WITHOUT_FENCE: &str = r#"
ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_pkey;

CREATE OR REPLACE FUNCTION complete_call(
    p_call_id uuid, p_started_at timestamptz, p_has_intent boolean, p_action text, p_resource text, p_resource_id uuid,
    p_details jsonb, p_user_agent text, p_ip_address inet, p_duration_ms integer
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO audit_logs (id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, resource_id,
                            details, outcome, success, user_agent, ip_address, duration_ms)
    VALUES (nextval('audit_logs_id_seq'), p_started_at, clock_timestamp(), current_tenant_id(),
            current_setting('app.current_user_id', true), p_call_id, p_action, p_resource, p_resource_id,
            coalesce(p_details, '{}'), 'ok', true, p_user_agent, p_ip_address, p_duration_ms)
    RETURNING id
$$;

CREATE OR REPLACE FUNCTION close_calls(p_calls jsonb) RETURNS TABLE (call_id uuid, outcome text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    INSERT INTO audit_logs (id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, details,
                            outcome, success, error_message, user_agent, ip_address, duration_ms)
    SELECT nextval('audit_logs_id_seq'), g.started_at, clock_timestamp(), current_tenant_id(), g.user_id, g.call_id,
           g.action, g.resource, coalesce(g.details, '{}'), g.outcome, false, g.error_message, g.user_agent,
           g.ip_address, g.duration_ms
    FROM jsonb_to_recordset(p_calls) AS g (
        call_id uuid, user_id text, started_at timestamptz, action text, resource text, details jsonb, outcome text,
        error_message text, user_agent text, ip_address inet, duration_ms integer)
    RETURNING audit_logs.call_id, audit_logs.outcome
$$;
"#;

/// The same, but an intent that is there is removed, by whoever closes the call: what is left are the races alone.
const REMOVING_INTENTS: &str = r#"
CREATE FUNCTION remove_intent() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    DELETE FROM call_intents i WHERE i.call_id = NEW.call_id;
    RETURN NEW;
END
$$;
CREATE TRIGGER remove_intent AFTER INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION remove_intent();
"#;

pub async fn remove(client: &Client, keeps_intents: bool) -> Result<()> {
    client.batch_execute(WITHOUT_FENCE).await?;
    if !keeps_intents {
        client.batch_execute(REMOVING_INTENTS).await?;
    }
    Ok(())
}
