//! The schema made by a role that is no superuser, in a cluster that has none of its roles.

use std::process::Output;

use bailiwick::db::admin;
use tokio::process::Command;
use tokio_postgres::Client;

use super::cluster::Cluster;
use crate::harness::server;

/// What each role may do, and who is a member of whom: without the administrators, who differ.
const ROLES: &str = "
    SELECT format('%s %s', rolname, array_to_string(ARRAY[
        CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
        CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolcanlogin THEN 'LOGIN' END,
        CASE WHEN rolbypassrls AND rolname <> 'bailiwick_backup' THEN 'BYPASSRLS' END], ' '))
    FROM pg_roles WHERE rolname LIKE 'bailiwick%'
    UNION ALL
    SELECT format('%s > %s inherit %s set %s', roleid::regrole, member::regrole, bool_or(inherit_option), bool_or(set_option))
    FROM pg_auth_members WHERE roleid::regrole::text LIKE 'bailiwick%' AND member::regrole::text LIKE 'bailiwick%'
    GROUP BY roleid, member
    ORDER BY 1";

async fn roles(client: &Client) -> Vec<String> {
    client.query(ROLES, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// A cluster in which nobody has ever migrated.
async fn fresh() -> Cluster {
    // doctor tells of a database that forgets.
    let cluster = Cluster::create(server().await.bin_dir(), "fsync = on\n").await;
    cluster.start();
    cluster
}

fn url(cluster: &Cluster, role: &str, database: &str) -> String {
    format!("postgresql://{role}@{}/{database}", cluster.host())
}

async fn bailiwick(cluster: &Cluster, role: &str, database: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(arguments).env_remove("DATABASE_URL").env("BAILIWICK_EMBEDDINGS_DIMENSIONS", "4");
    command.env("BAILIWICK_ADMIN_DATABASE_URL", url(cluster, role, database));
    command
        .env("BAILIWICK_DATABASE_URL", url(cluster, "bailiwick_app", database))
        .env("BAILIWICK_NO_EMBEDDINGS", "true");
    command.output().await.unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything that an administrator does, by one who is no superuser.
async fn lives_through_all(cluster: &Cluster, role: &str, database: &str) {
    for arguments in [
        &["migrate", "up"][..],
        &["migrate", "down", "11"],
        &["migrate", "up"],
        &["tenant", "create", "acme"],
        &["key", "create", "--tenant", "acme", "--user", "ada@acme.example"],
        &["search", "--tenant", "acme", "leave"],
        &["report", "audit", "--tenant", "acme"],
        &["maintain"],
        &["audit", "verify"],
        &["doctor", "--quick"],
    ] {
        let output = bailiwick(cluster, role, database, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    }
    assert_eq!(crate::catalog::faults(&cluster.connect(database).await).await, []);
}

#[tokio::test]
async fn one_who_only_owns_the_database_can_make_the_schema_once_the_printed_roles_are_there() {
    let cluster = fresh().await;
    let postgres = cluster.connect("postgres").await;
    // As on a managed service: who may make roles and databases, and is no superuser.
    postgres.batch_execute("CREATE ROLE keeper LOGIN CREATEROLE CREATEDB").await.unwrap();
    let keeper = admin::connect(&cluster.config("keeper", "postgres")).await.unwrap();
    keeper.batch_execute("CREATE ROLE \"land lord\" LOGIN").await.unwrap();
    keeper.batch_execute("CREATE DATABASE bw").await.unwrap();
    drop(keeper);
    let printed = bailiwick(&cluster, "land%20lord", "bw", &["migrate", "--print-roles"]).await;
    assert!(printed.status.success(), "{}", told(&printed));
    let sql = String::from_utf8(printed.stdout).unwrap();
    let before = bailiwick(&cluster, "land%20lord", "bw", &["migrate", "up"]).await;
    assert!(!before.status.success() && told(&before).contains("--print-roles"), "{}", told(&before));
    postgres.batch_execute("CREATE ROLE stranger LOGIN CREATEROLE").await.unwrap();
    cluster.connect("bw").await.batch_execute("CREATE EXTENSION vector; CREATE EXTENSION pg_trgm").await.unwrap();
    let refused = cluster.psql("stranger", "bw", &sql);
    let why = told(&refused);
    assert!(!refused.status.success() && why.contains("Let its owner (keeper)"), "{why}");
    assert_eq!(roles(&postgres).await, [""; 0], "all or nothing");
    // Twice, for a person may be unsure.
    for _ in 0..2 {
        let done = cluster.psql("keeper", "bw", &sql);
        assert!(done.status.success(), "{}", told(&done));
    }
    let lent = "SELECT pg_has_role('keeper', 'land lord', 'SET')";
    assert!(!postgres.query_one(lent, &[]).await.unwrap().get::<_, bool>(0), "what was lent was given back");
    let by_hand = roles(&postgres).await;
    lives_through_all(&cluster, "land%20lord", "bw").await;
    assert_eq!(roles(&postgres).await, by_hand, "the migrations had nothing to add");
    let powers =
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = 'land lord'";
    assert!(!postgres.query_one(powers, &[]).await.unwrap().get::<_, bool>(0));

    // A superuser's migration makes the same roles.
    let other = fresh().await;
    let postgres = other.connect("postgres").await;
    postgres.batch_execute("CREATE DATABASE bw").await.unwrap();
    let output = bailiwick(&other, "postgres", "bw", &["migrate", "up"]).await;
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(roles(&postgres).await, by_hand);
    // And finds nothing to do in what is printed but to give the database away.
    postgres.batch_execute("CREATE ROLE \"land lord\" LOGIN").await.unwrap();
    let done = other.psql("postgres", "bw", &sql);
    assert!(done.status.success(), "{}", told(&done));
    assert_eq!(roles(&postgres).await, by_hand);
}

#[tokio::test]
async fn one_who_may_make_roles_needs_only_the_extensions() {
    let cluster = fresh().await;
    let postgres = cluster.connect("postgres").await;
    postgres.batch_execute("CREATE ROLE landlord LOGIN CREATEROLE").await.unwrap();
    postgres.batch_execute("CREATE DATABASE bw OWNER landlord").await.unwrap();
    cluster.connect("bw").await.batch_execute("CREATE EXTENSION vector; CREATE EXTENSION pg_trgm").await.unwrap();
    lives_through_all(&cluster, "landlord", "bw").await;
}
