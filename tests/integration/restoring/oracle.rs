//! What is in a database, by other means than the program's own.

use tokio_postgres::Client;

/// Every row of every table of the schema, as a checksum a table. The view is filled anew, so without when that was.
pub async fn contents(client: &Client) -> Vec<String> {
    let tables =
        "SELECT oid::regclass::text, CASE relkind WHEN 'm' THEN '(to_jsonb(t) - ''as_of'')::text' ELSE 't::text' END
                  FROM pg_class
                  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') ORDER BY 1";
    let mut contents = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let (table, text): (String, String) = (row.get(0), row.get(1));
        let sum = format!(
            "SELECT format('%s rows %s', count(*), md5(string_agg({text}, E'\\n' ORDER BY {text}))) FROM {table} AS t"
        );
        let row = client.query_one(&sum, &[]).await.unwrap();
        contents.push(format!("{table}: {}", row.get::<_, String>(0)));
    }
    assert!(contents.len() > 20, "{contents:?}");
    contents
}

/// What is in one and not in the other.
pub fn differences(one: &[String], other: &[String]) -> Vec<String> {
    let missing = |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>();
    [missing(one, other), missing(other, one)].concat()
}

/// What guards the rows: policies, forced security, owners, grants, definer functions, constraints, triggers. Read back, an
/// expression has other parentheses.
pub async fn guards(client: &Client) -> Vec<String> {
    let sql = "SELECT to_jsonb(p)::text AS line FROM pg_policies p
               UNION ALL
               SELECT format('%s %s %s %s %s', oid::regclass, relowner::regrole, relrowsecurity, relforcerowsecurity,
                   (SELECT string_agg(acl::text, ',' ORDER BY acl::text) FROM unnest(coalesce(relacl, acldefault((CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\", relowner))) AS acl))
               FROM pg_class WHERE relnamespace = 'public'::regnamespace
               UNION ALL
               SELECT format('%s %s %s %s %s', oid::regprocedure, proowner::regrole, prosecdef, proconfig,
                   (SELECT string_agg(acl::text, ',' ORDER BY acl::text) FROM unnest(coalesce(proacl, acldefault('f', proowner))) AS acl))
               FROM pg_proc WHERE pronamespace = 'public'::regnamespace
               UNION ALL
               SELECT format('%s %s', conrelid::regclass, translate(pg_get_constraintdef(oid), '()', '')) FROM pg_constraint
               WHERE connamespace = 'public'::regnamespace
               UNION ALL
               SELECT translate(pg_get_triggerdef(oid), '()', '') FROM pg_trigger WHERE NOT tgisinternal
               UNION ALL
               SELECT translate(pg_get_indexdef(indexrelid), '()', '') FROM pg_index
               JOIN pg_class ON oid = indexrelid AND relnamespace = 'public'::regnamespace
               ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get("line")).collect()
}
