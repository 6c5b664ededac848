//! Files that are no backup, or no longer one, and programs that do not fit.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{backup, bailiwick, both, command, refused, remains, told, world};
use crate::harness::{TestDatabase, server};

#[tokio::test]
async fn a_file_that_is_not_as_it_was_written_restores_nothing() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let whole = std::fs::read(&file).unwrap();
    let other = folder.path().join("other").display().to_string();
    let output = bailiwick(&database, &["restore", "--check", &file]).await;
    assert!(output.status.success() && both(&output).contains("as it was written"), "{}", both(&output));

    let manifest_at = whole.len() - 2000;
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let longer = [whole.clone(), b"x".to_vec()].concat();
    let damaged: [(&str, Vec<u8>, &str); 9] = [
        ("a byte in the middle of the dump", flipped(whole.len() / 2), "is damaged: the SHA-256 of its dump"),
        ("a byte of the dump's head", flipped(7), "is damaged: the SHA-256 of its dump"),
        ("a byte of the manifest", flipped(manifest_at), "its manifest is not as it was written"),
        ("a byte of the last line", flipped(whole.len() - 20), "is damaged: its"),
        ("half a file", whole[..whole.len() / 2].to_vec(), "it was cut off"),
        ("all but a byte", whole[..whole.len() - 1].to_vec(), "it was cut off"),
        ("a byte more", longer, "it was cut off"),
        ("a text", b"SELECT 1;\n".to_vec(), "is no backup"),
        ("nothing", Vec::new(), "is no backup"),
    ];
    for (what, bytes, wanted) in damaged {
        std::fs::write(&other, bytes).unwrap();
        for arguments in [&["restore", "--check", &other][..], &["restore", "--replace", &other]] {
            let said = refused(&database, arguments).await;
            assert!(said.contains(wanted), "{what}: {said}");
        }
    }
    // A manifest of another dump.
    let second = folder.path().join("second").display().to_string();
    database.execute("DELETE FROM api_keys").await;
    told(&database, &["backup", "--json", &second]).await;
    let swapped = std::fs::read(&second).unwrap();
    let (dump_end, begin) = (before_manifest(&whole), before_manifest(&swapped));
    std::fs::write(&other, [&whole[..dump_end], &swapped[begin..]].concat()).unwrap();
    let said = refused(&database, &["restore", "--check", &other]).await;
    assert!(said.contains("is damaged"), "{said}");

    assert_eq!(database.value::<i64>("SELECT count(*) FROM api_keys").await, 0, "nothing was restored");
    assert_eq!(remains(&database).await, [""; 0]);
}

/// Where the dump ends.
fn before_manifest(bytes: &[u8]) -> usize {
    let end = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    bytes[..end].iter().rposition(|byte| *byte == b'\n').unwrap()
}

#[tokio::test]
async fn a_file_of_that_name_is_replaced_only_if_that_was_asked_for() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept").display().to_string();
    std::fs::write(&file, "somebody's").unwrap();
    let said = refused(&database, &["backup", &file]).await;
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), b"somebody's");
    told(&database, &["backup", "--json", "--replace", &file]).await;
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(
        (mode & 0o777, std::fs::read_dir(folder.path()).unwrap().count()),
        (0o600, 1),
        "all that is in it is secret"
    );
    told(&database, &["restore", "--check", "--json", &file]).await;
}

#[tokio::test]
async fn to_stdout_goes_the_same_and_a_full_disk_is_told() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let output = bailiwick(&database, &["backup", "-"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = folder.path().join("piped").display().to_string();
    std::fs::write(&file, &output.stdout).unwrap();
    let other = TestDatabase::bare().await;
    assert_eq!(
        told(&database, &["restore", "--json", "--jobs", "3", "--into", other.name(), &file]).await["sound"],
        true
    );

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command_line = command(&database, &["backup", "-"]).await;
    let child = command_line.stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    assert!(both(&output).contains("No space left"), "{}", both(&output));

    // A file that may not grow stands for a disk that is full: pg_dump is told so by the system in the same way.
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let file = small.join("backup").display().to_string();
    let script = format!("trap '' XFSZ; ulimit -f 8; exec {} backup {file}", env!("CARGO_BIN_EXE_bailiwick"));
    let mut shell = command(&database, &[]).await;
    let mut limited = tokio::process::Command::new("sh");
    limited.args(["-c", &script]);
    for (name, value) in shell.as_std_mut().get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    let output = limited.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    assert!(both(&output).contains("File too large"), "{}", both(&output));
    assert_eq!(std::fs::read_dir(&small).unwrap().count(), 0, "nothing half is there");
}

/// A program that says it is of that version, and is else the real one.
async fn pretending(folder: &Path, program: &str, version: &str) {
    let real = server().await.bin_dir().join(program);
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo '{program} (PostgreSQL) {version}'; exit 0; }}\nexec {} \"$@\"\n",
        real.display()
    );
    std::fs::write(folder.join(program), script).unwrap();
    std::fs::set_permissions(folder.join(program), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn programs_of_another_version_are_told_before_anything_is_done() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let bin = programs.display().to_string();
    let second = folder.path().join("second").display().to_string();
    let said = refused(&database, &["--pg-bin", &bin, "backup", &second]).await;
    assert!(said.contains("there is no pg_dump in") && said.contains("--pg-bin"), "{said}");
    pretending(&programs, "pg_dump", "15.18 (Debian 15.18-0+deb12u1)").await;
    let said = refused(&database, &["--pg-bin", &bin, "backup", &second]).await;
    assert!(said.contains("this pg_dump is of PostgreSQL 15.18 and the server is"), "{said}");
    // What a newer one writes this server could not be given back.
    pretending(&programs, "pg_dump", "99.1").await;
    let said = refused(&database, &["--pg-bin", &bin, "backup", &second]).await;
    assert!(said.contains("99.1") && said.contains("would not take back") && said.contains("--pg-bin"), "{said}");
    for version in ["17.9", "99.1"] {
        pretending(&programs, "pg_restore", version).await;
        let said = refused(&database, &["--pg-bin", &bin, "restore", "--replace", &file]).await;
        assert!(said.contains(&format!("this pg_restore is of PostgreSQL {version}")), "{said}");
    }
    assert!(!Path::new(&second).exists());
    assert_eq!(remains(&database).await, [""; 0]);
}

/// A password is seen by whoever lists processes, if it is in an argument.
#[tokio::test]
async fn passwords_go_to_programs_by_their_environment() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let real = server().await.bin_dir().join("pg_dump");
    let seen = folder.path().join("seen");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {seen}\necho \"password $PGPASSWORD, key $BAILIWICK_EMBEDDINGS_API_KEY\" >> {seen}.env\nexec {} \"$@\"\n",
        real.display(),
        seen = seen.display()
    );
    std::fs::write(programs.join("pg_dump"), script).unwrap();
    std::fs::set_permissions(programs.join("pg_dump"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let url = database.url("postgres").await.replace("postgres@", "postgres:hunter2@");
    let file = folder.path().join("backup").display().to_string();
    let mut command = command(
        &database,
        &["--pg-bin", &programs.display().to_string(), "backup", "--backup-database-url", &url, &file],
    )
    .await;
    let output = command.env("BAILIWICK_EMBEDDINGS_API_KEY", "hunter3").output().await.unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let (arguments, environment) =
        (std::fs::read_to_string(&seen).unwrap(), std::fs::read_to_string(folder.path().join("seen.env")).unwrap());
    assert!(arguments.contains("--snapshot=") && !arguments.contains("hunter2"), "{arguments}");
    assert!(environment.contains("password hunter2, key \n"), "{environment}");
    assert!(!String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains("hunter2"));
}
