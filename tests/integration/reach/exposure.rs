//! Ways over a public network that strangers may listen on.

use tokio::process::Command;

use crate::harness::TestDatabase;

#[tokio::test]
async fn each_way_that_is_not_safe_is_warned_of() {
    let database = TestDatabase::create().await;
    // An address that is kept for examples: nobody is there, and nobody is asked.
    let public = "postgresql://bailiwick_backup@192.0.2.1/bailiwick?connect_timeout=1";
    for (url, is_weak) in [(public.to_owned(), true), (format!("{public}&sslmode=verify-full"), false)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(["tenant", "list"]).env_remove("DATABASE_URL").env("BAILIWICK_BACKUP_DATABASE_URL", &url);
        command.env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await);
        let output = command.output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        assert_eq!(
            told.contains("BAILIWICK_BACKUP_DATABASE_URL leads over a public network"),
            is_weak,
            "{url}: {told}"
        );
    }
}
