use std::os::unix::fs::PermissionsExt;

use bailiwick::audit::{Hash, HeadsFile, Keeping, SealKey, TrustedKeys};
use bailiwick::configuration::AuditArguments;

#[test]
fn of_several_who_make_the_key_one_wins() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit").join("signing-key.pem");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || SealKey::load_or_create(&path).unwrap().key_id().to_owned())
            })
            .collect();
        let ids: std::collections::BTreeSet<_> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        assert_eq!(ids.len(), 1);
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
        let names: std::collections::BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["signing-key.pem", "signing-key.pub.pem"]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut trusted = TrustedKeys::default();
        trusted.add(&path.with_extension("pub.pem")).unwrap();
        let (key, head) = (SealKey::load(&path).unwrap(), Hash([7; 32]));
        assert!(trusted.confirm(key.key_id(), head, &key.sign(head)));
        assert!(!trusted.confirm(key.key_id(), Hash([8; 32]), &key.sign(head)));
    }
}

/// From `openssl genpkey -algorithm ed25519`, whose PKCS#8 has no public half; RFC 8410, section 10.3.
#[test]
fn a_key_made_by_openssl_is_read() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let folder = tempfile::tempdir().unwrap();
    let (path, public_path) = (folder.path().join("k.pem"), folder.path().join("p.pem"));
    std::fs::write(&path, pem).unwrap();
    std::fs::write(&public_path, public).unwrap();
    let mut trusted = TrustedKeys::default();
    trusted.add(&public_path).unwrap();
    assert!(trusted.know(SealKey::load(&path).unwrap().key_id()));
    std::fs::write(&path, "nonsense").unwrap();
    assert!(SealKey::load(&path).is_err() && trusted.add(&path).is_err());
}

#[test]
fn half_a_line_of_heads_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heads.jsonl");
    let file = HeadsFile::new(path.clone());
    assert!(file.read("here").unwrap().is_empty());
    let head = "ab".repeat(32);
    let line = |database: &str, seal_no: u8| {
        format!(
            "{{\"database\":\"{database}\",\"seal_no\":{seal_no},\"head\":\"{head}\",\"sealed_until\":\"2026-11-01T00:00:00Z\"}}"
        )
    };
    std::fs::write(&path, format!("{}\n{}\n{{\"datab\n{}\n", line("here", 1), line("there", 2), line("here", 3)))
        .unwrap();
    let known: Vec<_> =
        file.read("here").unwrap().into_iter().map(|known| (known.seal_no, known.head.to_string())).collect();
    assert_eq!(known, [(Some(1), head.clone()), (Some(3), head)]);
}

/// Run by the test below, as a process of its own.
#[test]
#[ignore = "a helper of the test below"]
#[expect(clippy::print_stdout, reason = "its answer")]
fn make_the_key_named_in_the_environment() {
    let path = std::env::var("BAILIWICK_TEST_KEY_PATH").unwrap();
    println!("key {}", SealKey::load_or_create(path.as_ref()).unwrap().key_id());
}

#[test]
fn processes_that_start_at_once_have_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "seals::keys::make_the_key_named_in_the_environment", "--ignored", "--nocapture"])
                .env("BAILIWICK_TEST_KEY_PATH", folder.path().join("audit").join("signing-key.pem"))
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let ids: std::collections::BTreeSet<_> = children
        .into_iter()
        .map(|child| {
            let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
            text.split("key ").nth(1).unwrap()[..16].to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn a_key_that_is_gone_is_not_replaced_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = AuditArguments::default();
    assert!(Keeping::open(&arguments, Some(folder.path())).unwrap().key.is_some());
    let audit = folder.path().join("audit");
    std::fs::write(audit.join("heads.jsonl"), "{}\n").unwrap();
    assert!(Keeping::open(&arguments, Some(folder.path())).unwrap().key.is_some(), "it is still there");
    std::fs::remove_file(audit.join("signing-key.pem")).unwrap();
    assert!(Keeping::open(&arguments, Some(folder.path())).unwrap().key.is_none());
    assert!(!audit.join("signing-key.pem").exists());
}
