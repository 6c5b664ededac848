use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::Client;

use super::deployment::{Deployment, eventually, give, insert, open_folder, text, titles};

async fn value(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn append(path: &Path, line: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// All that was written until now is in the archive.
async fn archived(client: &Client) {
    let file = value(client, "SELECT pg_walfile_name(pg_switch_wal())").await;
    let sql = format!("SELECT coalesce(last_archived_wal >= '{file}', false)::text FROM pg_stat_archiver");
    eventually("the log is archived", async || value(client, &sql).await == "true").await;
}

/// What the running server's figures say.
async fn figure(url: &str, name: &str) -> Option<f64> {
    let told = reqwest::get(url).await.ok()?.text().await.ok()?;
    told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn a_database_goes_back_to_the_moment_between_two_marks() {
    let runbook = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let place = open_folder();
    // A shell must not take its name for two.
    let (original, archive) = (Deployment::of(place.path().join("original")).await, place.path().join("the archive"));
    let folder = archive.to_str().unwrap();

    // Nothing is set up: that is told, and what it takes is written.
    let (code, told) = original.told(&["doctor", "--pitr", folder]);
    assert_eq!((code, &told["findings"][0]["check"]), (Some(0), &"archive_mode".into()), "{told}");
    assert_eq!(told["written"].as_array().unwrap().len(), 4, "{told}");
    assert!(told["steps"].to_string().contains(&format!("--pgdata='{folder}'/base/")), "{told}");
    append(&original.cluster().join("postgresql.conf"), &format!("include '{folder}/archiving.conf'"));
    original.stop().await;

    let server = original.server().await;
    let client = original.connect(&server).await;
    archived(&client).await;
    let (_, found) = original.findings(&["--pitr"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == "base_backups" && found[0].1.starts_with("none is known"), "{found:?}");

    // A base backup, as the runbook makes it, and what verifies it.
    let socket = format!("--host={}", server.socket_dir().display());
    let base = archive.join("base/one");
    let (pgdata, base_path) = (format!("--pgdata={}", base.display()), base.display().to_string());
    let options = ["--checkpoint=fast", "--manifest-checksums=SHA256"];
    assert!(runbook.contains(&options.join(" ")), "docs/operations.md makes a base backup in another way");
    give(&archive.join("base"), &original.cluster());
    let made = original.tool("pg_basebackup", &[&socket, "--username=postgres", options[0], options[1], &pgdata]);
    assert!(made.status.success(), "{}", text(&made));
    let verified = original.tool("pg_verifybackup", &[&base_path]);
    assert!(verified.status.success(), "{}", text(&verified));
    assert_eq!(original.findings(&["--pitr"]), (Some(0), Vec::new()), "now it could go back");

    // One mark, the moment, another mark: each a call through the real server.
    let mut mcp = original.serve().await;
    insert(&mut mcp, "first mark").await;
    assert_eq!(original.told(&["maintain"]).0, Some(0));
    let moment = value(&client, "SELECT clock_timestamp()::text").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    insert(&mut mcp, "second mark").await;
    assert_eq!(mcp.finish().await.0, Some(0));
    assert_eq!(titles(&original), ["first mark", "second mark"]);
    archived(&client).await;

    // A copy beside it is brought up to the moment; the original and its archive stay as they are.
    let copy = Deployment::of(place.path().join("copy")).await;
    std::fs::create_dir(place.path().join("copy")).unwrap();
    std::fs::set_permissions(place.path().join("copy"), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let copied = std::process::Command::new("cp").arg("-a").arg(&base).arg(copy.cluster()).status().unwrap();
    assert!(copied.success());
    let settings = std::fs::read_to_string(archive.join("restore.conf")).unwrap();
    let target = "#recovery_target_time = '2026-03-01 12:00:00+00'";
    assert!(settings.contains(target), "{settings}");
    let settings = settings.replace(target, &format!("recovery_target_time = '{moment}'"));
    append(&copy.cluster().join("postgresql.auto.conf"), &settings);
    std::fs::copy(archive.join("recovery.signal"), copy.cluster().join("recovery.signal")).unwrap();
    give(&copy.cluster(), &original.cluster());
    let before = std::fs::read_dir(archive.join("wal")).unwrap().count();
    assert_eq!(titles(&copy), ["first mark"]);
    assert_eq!(copy.told(&["audit", "verify"]).0, Some(0), "the trail's seals hold");
    assert_eq!(copy.findings(&[]), (Some(0), Vec::new()));
    // A server that runs on it seals, and must have the key by which the trail is believed.
    let audit = copy.folder().join("audit");
    std::fs::create_dir_all(&audit).unwrap();
    std::fs::copy(original.folder().join("audit/signing-key.pem"), audit.join("signing-key.pem")).unwrap();
    let mut mcp = copy.serve().await;
    insert(&mut mcp, "third mark").await;
    assert_eq!(mcp.finish().await.0, Some(0));
    assert_eq!(titles(&copy), ["first mark", "third mark"], "it serves again");
    copy.stop().await;
    assert_eq!(std::fs::read_dir(archive.join("wal")).unwrap().count(), before, "a copy writes into no archive");
    assert_eq!(titles(&original), ["first mark", "second mark"]);

    take_over(&runbook, &original, &copy, &archive).await;

    // A single changed byte of a base backup is found.
    let file = base.join("base/1/PG_VERSION");
    let file = if file.is_file() { file } else { base.join("PG_VERSION") };
    OpenOptions::new().write(true).open(&file).unwrap().write_all_at(b"9", 0).unwrap();
    let verified = original.tool("pg_verifybackup", &[&base_path]);
    assert!(!verified.status.success() && text(&verified).contains("checksum mismatch"), "{}", text(&verified));
}

#[tokio::test]
async fn an_archive_that_takes_nothing_raises_an_alarm() {
    let place = open_folder();
    let (deployment, archive) = (Deployment::of(place.path().join("data")).await, place.path().join("archive"));
    let folder = archive.to_str().unwrap();
    assert_eq!(deployment.told(&["doctor", "--pitr", folder]).0, Some(0));
    append(&deployment.cluster().join("postgresql.conf"), &format!("include '{folder}/archiving.conf'"));
    deployment.stop().await;
    let server = deployment.server().await;
    let client = deployment.connect(&server).await;
    archived(&client).await;

    let mut command = tokio::process::Command::from(deployment.command(&["serve", "--http", "127.0.0.1:0"]));
    let socket = server.socket_dir().display().to_string().replace('/', "%2F");
    // As on a database whose administrator the server does not know.
    command.env("BAILIWICK_DATABASE_URL", format!("postgresql://bailiwick_app@{socket}:{}/bailiwick", server.port()));
    let served = crate::http::served::Served::of(command.args(["--metrics-listen", "127.0.0.1:0"])).await;
    eventually("archiving is a figure", async || {
        figure(&served.figures, "bailiwick_wal_archiving ").await == Some(1.0)
    })
    .await;
    assert_eq!(figure(&served.figures, "bailiwick_wal_archive_failing ").await, Some(0.0));

    // The archive's disk is gone.
    std::fs::rename(archive.join("wal"), archive.join("gone")).unwrap();
    client.batch_execute("CREATE TABLE something AS SELECT 1; SELECT pg_switch_wal()").await.unwrap();
    let failed = "SELECT coalesce(last_failed_time > last_archived_time, false)::text FROM pg_stat_archiver";
    eventually("archiving fails", async || value(&client, failed).await == "true").await;
    let (code, found) = deployment.findings(&["--pitr"]);
    assert!(code == Some(1) && found.iter().any(|(check, _)| check == "archiving"), "{found:?}");
    let (code, found) = deployment.findings(&["--quick"]);
    assert!(code == Some(1) && found.iter().any(|(check, _)| check == "archiving"), "{found:?}");
    eventually("the figure says so", async || {
        figure(&served.figures, "bailiwick_wal_archive_failing ").await == Some(1.0)
    })
    .await;
    assert!(
        served.lines().iter().any(|line| line.contains("cannot archive its write-ahead log")),
        "{:?}",
        served.lines()
    );

    // It comes back, and with it whatever waited.
    std::fs::rename(archive.join("gone"), archive.join("wal")).unwrap();
    client.batch_execute("CREATE TABLE another AS SELECT 1").await.unwrap();
    archived(&client).await;
    eventually("the figure is calm", async || {
        figure(&served.figures, "bailiwick_wal_archive_failing ").await == Some(0.0)
    })
    .await;
    assert!(deployment.findings(&["--quick"]).1.iter().all(|(check, _)| check != "archiving"));
}

/// The copy takes the original's place, as the runbook has it.
async fn take_over(runbook: &str, original: &Deployment, copy: &Deployment, archive: &Path) {
    original.stop().await;
    let key = copy.folder().join("audit/signing-key.pem");
    let kept = std::fs::read(original.folder().join("audit/signing-key.pem")).unwrap();
    assert!(
        runbook.contains("cp -a /srv/bailiwick/audit /srv/restored/"),
        "docs/operations.md keeps the key in another way"
    );
    let _ = std::fs::remove_dir_all(copy.folder().join("audit"));
    let copied =
        std::process::Command::new("cp").arg("-a").arg(original.folder().join("audit")).arg(copy.folder()).status();
    assert!(copied.unwrap().success());
    assert!(runbook.contains("mv /srv/restored/audit/heads.jsonl /srv/restored/audit/heads.jsonl.before-recovery"));
    let heads = copy.folder().join("audit/heads.jsonl");
    std::fs::rename(&heads, copy.folder().join("audit/heads.jsonl.before-recovery")).unwrap();

    // Every setting of restore.conf goes, or it would be in the next base backup.
    let server = copy.server().await;
    let client = copy.connect(&server).await;
    let conf = std::fs::read_to_string(archive.join("restore.conf")).unwrap();
    let settings = conf.lines().filter_map(|line| line.trim_start_matches('#').split_once(" = "));
    for name in settings.map(|(name, _)| name).filter(|name| !name.contains(' ')) {
        let reset = format!("ALTER SYSTEM RESET {name}");
        assert!(runbook.contains(&reset), "docs/operations.md leaves {name}");
        client.batch_execute(&reset).await.unwrap();
    }
    drop((client, server));
    copy.stop().await;
    let left = std::fs::read_to_string(copy.cluster().join("postgresql.auto.conf")).unwrap();
    assert!(left.lines().all(|line| line.is_empty() || line.starts_with('#')), "{left}");

    let server = copy.server().await;
    let client = copy.connect(&server).await;
    archived(&client).await;
    let socket = format!("--host={}", server.socket_dir().display());
    let base = archive.join("base/two").display().to_string();
    let options = ["--username=postgres", "--checkpoint=fast", "--manifest-checksums=SHA256"];
    let made = copy.tool("pg_basebackup", &[&[socket.as_str()][..], &options, &[&format!("--pgdata={base}")]].concat());
    assert!(made.status.success(), "{}", text(&made));
    assert!(copy.tool("pg_verifybackup", &[&base]).status.success());
    assert_eq!(copy.findings(&["--pitr"]), (Some(0), Vec::new()));
    assert_eq!(copy.told(&["maintain"]).0, Some(0));
    assert_eq!(copy.told(&["audit", "verify"]).0, Some(0));
    assert!(heads.exists() && std::fs::read(&key).unwrap() == kept, "it seals on, with the key that there was");

    // Log from before the new base backup goes, and the backup needs none of it.
    let wal = archive.join("wal");
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(&wal).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let before = names();
    let of_base = before.iter().rfind(|name| name.ends_with(".backup")).unwrap().clone();
    let cleaned = copy.tool("pg_archivecleanup", &[&wal.display().to_string(), &of_base]);
    assert!(cleaned.status.success(), "{}", text(&cleaned));
    let after = names();
    assert!(after.len() < before.len() && after.contains(&of_base), "{before:?}: {after:?}");
}
