use super::*;

fn lines(text: &str) -> Vec<usize> {
    let found = statements(text).unwrap();
    found.iter().map(|statement| statement.line).collect()
}

fn objection(text: &str) -> String {
    check(text).unwrap_err().to_string()
}

#[test]
fn statements_are_found_by_the_line_of_their_first_word() {
    assert_eq!(lines("select 1;\n\n-- note;\n/* a; /* b; */ c; */\nselect\n2; select 3;"), [1, 5, 6]);
    assert_eq!(lines("-- nothing here;\n;;\n"), [0_usize; 0]);
}

#[test]
fn semicolons_in_quotes_bodies_and_rules_end_nothing() {
    for text in [
        "select 'a;b''c;', \"d;e\"\"f;\", E'g\\';h''\\';', U&'x;';",
        "do $$ begin; commit; end $$;",
        "do $body$ select $$;$$; $body$;",
        "create rule r as on insert to t do also (delete from a; delete from b);",
        "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end;",
        "select a$b$ from t where c = $1;",
        "select 'naïve;' as \"größe;\", 'é;';",
    ] {
        assert_eq!(lines(text).len(), 1, "{text}");
        assert_eq!(check(text), Ok(()), "{text}");
    }
}

#[test]
fn a_statement_that_controls_the_transaction_is_refused_with_its_line() {
    for word in [
        "BEGIN",
        "Start transaction",
        "commit",
        "END",
        "rollback",
        "abort work",
        "savepoint a",
        "release a",
        "prepare transaction 'x'",
    ] {
        let text = format!("select 1;\n-- c\n{word};");
        assert!(objection(&text).starts_with("line 3: "), "{word}");
    }
    assert_eq!(check("prepare p as select 1; comment on table commit is 'end';"), Ok(()));
}

#[test]
fn what_needs_a_client_is_refused() {
    assert!(objection("copy t from stdin;").contains("COPY"));
    assert!(objection("\\copy t from 'x';").contains("backslash"));
    assert_eq!(check("copy t from '/a/stdin';"), Ok(()));
}

#[test]
fn open_ends_are_refused_with_the_line_they_open_on() {
    for text in [
        "select 1;\nselect 2",
        "\nselect 'a;",
        "\nselect \"a;",
        "\n/* a /* b */",
        "\ndo $x$ begin; $$;",
        "\nselect E'a\\';",
    ] {
        assert!(objection(text).starts_with("line 2: "), "{text}");
    }
}
