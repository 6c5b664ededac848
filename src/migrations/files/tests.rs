use proptest::prelude::*;

use super::*;

const OK: &str = "select 1;";

fn problems(files: &[(&str, &str)]) -> String {
    Migrations::from_files(files.iter().copied()).unwrap_err().to_string()
}

#[test]
fn the_embedded_files_are_valid() {
    let embedded = Migrations::embedded().unwrap();
    assert!(embedded.newest() >= 1);
}

#[test]
fn files_in_any_order_become_a_sorted_list() {
    let list = Migrations::from_files([
        ("000002_b.down.sql", "select 4;"),
        ("000001_a.up.sql", "select 1;\r\n"),
        ("000002_b.up.sql", "select 3;"),
        ("000001_a.down.sql", "select 2;"),
    ])
    .unwrap();
    let files: Vec<_> = list.iter().map(|one| one.file(Direction::Up)).collect();
    assert_eq!(files, ["000001_a.up.sql", "000002_b.up.sql"]);
    let first = list.get(1).unwrap();
    assert_eq!((first.version(), first.name()), (1, "a"));
    assert_eq!(first.sql(Direction::Up), "select 1;\n");
    assert_eq!(first.sql(Direction::Down), "select 2;");
    // sha256sum of "select 1;\n".
    assert_eq!(first.checksum(), "4a45092ccf992ea92250053a80b931b787924ba61648f420555511b84f10ab6c");
    assert!(list.get(0).is_none() && list.get(3).is_none() && list.get(i64::MIN).is_none());
}

#[test]
fn each_bad_name_is_refused_and_named() {
    for name in [
        "README.md",
        "1_a.up.sql",
        "0000001_a.up.sql",
        "000001.up.sql",
        "000001_.up.sql",
        "000001_A.up.sql",
        "000001_a b.up.sql",
        "000001-a.up.sql",
        "000001_a.sql",
        "000001_a.up.sql~",
        "000001_a.UP.sql",
        "000001_a.up.psql",
        "000000_a.up.sql",
        "+00001_a.up.sql",
        "00000１_a.up.sql",
        "000001_a.up.down.sql",
        "",
    ] {
        let text = problems(&[(name, OK)]);
        assert!(text.contains(&format!("{name} is not named NNNNNN_name.up.sql")), "{name}: {text}");
    }
}

#[test]
fn each_broken_list_is_refused_with_the_file_named() {
    let (up, down) = ("000001_a.up.sql", "000001_a.down.sql");
    assert_eq!(problems(&[]), "the migration files are invalid: sql/migrations holds no migration");
    for (files, expected) in [
        (vec![(up, OK)], "000001_a.up.sql has no 000001_a.down.sql"),
        (vec![(down, OK)], "000001_a.down.sql has no 000001_a.up.sql"),
        (vec![(up, OK), (down, OK), (up, OK)], "000001_a.up.sql is there twice"),
        (vec![(up, " \n"), (down, OK)], "000001_a.up.sql is empty"),
        (vec![(up, OK), ("000001_b.down.sql", OK)], "000001_b.down.sql has no 000001_b.up.sql"),
        (
            vec![(up, OK), (down, OK), ("000001_b.up.sql", OK), ("000001_b.down.sql", OK)],
            "000001_b.up.sql shares its version 000001",
        ),
        (
            vec![(up, OK), (down, OK), ("000003_c.up.sql", OK), ("000003_c.down.sql", OK)],
            "000003_c.up.sql follows a gap: version 000002 is missing",
        ),
        (
            vec![("000002_a.up.sql", OK), ("000002_a.down.sql", OK)],
            "000002_a.up.sql follows a gap: version 000001 is missing",
        ),
    ] {
        let text = problems(&files);
        assert!(text.contains(expected), "{text}");
    }
}

proptest! {
    #[test]
    fn any_accepted_name_obeys_golang_migrate_and_reads_back(file in "[0-9]{5,7}_[a-zA-Z0-9_.-]{0,6}\\.(up|down)\\.sql") {
        if let Some(parsed) = super::super::name::parse(&file) {
            prop_assert_eq!(file_name(parsed.version, parsed.name, parsed.direction), file.as_str());
            prop_assert!(!parsed.name.contains('.'));
        }
    }

    #[test]
    fn no_set_of_files_panics(files in prop::collection::vec(("00000[0-4]_[ab]\\.(up|down)\\.sql", "[;$'\"/*\\-eE a\\\\é\n]{0,20}"), 0..8)) {
        if let Ok(list) = Migrations::from_files(files.clone()) {
            prop_assert_eq!(list.iter().count() * 2, files.len());
        }
    }
}
