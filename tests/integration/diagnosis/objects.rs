//! `sql/objects.txt`, which a database is compared with, is what the migrations make, on whatever PostgreSQL and of whatever dimensions.

use std::path::Path;

use bailiwick::db::admin;

use crate::harness::TestDatabase;

async fn objects(database: &TestDatabase) -> String {
    let client = database.connect_admin().await;
    admin::begin_checks(&client).await.unwrap();
    let objects = admin::schema_objects(&client).await.unwrap().into_iter();
    objects.map(|object| format!("{}\t{}\t{}\n", object.kind, object.name, object.definition)).collect()
}

#[tokio::test]
async fn the_list_of_objects_is_what_the_migrations_make() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/objects.txt");
    let found = objects(&TestDatabase::create().await).await;
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let told = "sql/objects.txt is out of date: run `BAILIWICK_BLESS=1 cargo test objects`";
    let listed = std::fs::read_to_string(&path).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (found_lines, listed_lines) = (lines(&found), lines(&listed));
    let differing: Vec<_> = found_lines.symmetric_difference(&listed_lines).collect();
    assert!(listed == found, "{told}: {differing:?}");
    assert!(found_lines.len() > 400, "{found}");
    // Dimensions are not among what is compared.
    assert_eq!(objects(&TestDatabase::of_dimensions(384).await).await, found);
}
