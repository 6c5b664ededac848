//! `docs/scaling.md` says of each table how it would be spread over machines; the schema says whether that is so.

use std::collections::BTreeSet;

use crate::harness::TestDatabase;

/// What the page says of the tables.
struct Plan {
    reference: Vec<String>,
    distributed: Vec<String>,
    staying: BTreeSet<String>,
}

impl Plan {
    fn read(page: &str) -> Self {
        let named = |function: &str, end: &str| -> Vec<String> {
            let calls = page.lines().filter_map(|line| line.strip_prefix(&format!("SELECT {function}('")));
            calls.map(|rest| rest.split_once(end).unwrap_or_else(|| panic!("{rest}")).0.to_owned()).collect()
        };
        let table = page.split("| stays on the coordinator | why |").nth(1).unwrap().split("\n\n").next().unwrap();
        let staying =
            table.lines().filter_map(|line| line.split('|').nth(1)).flat_map(|cell| cell.split('`').skip(1).step_by(2));
        Self {
            reference: named("create_reference_table", "');"),
            distributed: named("create_distributed_table", "', 'tenant_id'"),
            staying: staying.map(str::to_owned).collect(),
        }
    }
}

#[tokio::test]
async fn the_page_on_scaling_spreads_every_table_in_an_order_that_works() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scaling.md");
    let plan = Plan::read(&std::fs::read_to_string(page).unwrap());
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    let tables = async |condition: &str| -> BTreeSet<String> {
        let sql = format!(
            "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND {condition}"
        );
        client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let of_tenants = tables(
        "c.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')",
    )
    .await;
    let all = tables("c.relkind IN ('r', 'p', 'm')").await;
    let distributed: BTreeSet<_> = plan.distributed.iter().cloned().collect();
    assert_eq!(distributed, of_tenants, "what has a tenant is spread by it");
    assert_eq!(distributed.len(), plan.distributed.len(), "each once");
    let reference: BTreeSet<_> = plan.reference.iter().cloned().collect();
    let others: BTreeSet<_> = all.difference(&of_tenants).cloned().collect();
    assert_eq!(
        reference.union(&plan.staying).cloned().collect::<BTreeSet<_>>(),
        others,
        "the others are everywhere or stay"
    );
    assert!(reference.is_disjoint(&plan.staying));
    // Whatever a table refers to was made ready before it.
    let order: Vec<&String> = plan.reference.iter().chain(&plan.distributed).collect();
    let keys = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
                WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition";
    let keys = client.query(keys, &[]).await.unwrap();
    assert!(keys.len() >= 9, "{}", keys.len());
    for row in keys {
        let (from, to): (String, String) = (row.get(0), row.get(1));
        let place = |table: &String| order.iter().position(|other| *other == table);
        assert!(place(&to).is_some() && place(&to) <= place(&from), "{from} refers to {to}");
    }
}

#[test]
fn the_plan_is_read_as_it_is_written() {
    let plan = Plan::read(
        "SELECT create_reference_table('a');\nSELECT create_distributed_table('b', 'tenant_id', colocate_with => 'c');\n\n| stays on the coordinator | why |\n|---|---|\n| `d`, `e` | x |\n\nmore `f`",
    );
    assert_eq!((plan.reference, plan.distributed), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(plan.staying, BTreeSet::from(["d".to_owned(), "e".to_owned()]));
}
