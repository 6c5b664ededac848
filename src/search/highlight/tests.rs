use proptest::prelude::*;

use super::*;

/// Words between U+0002 and U+0003 match.
fn highlight_marked(marked: &str, literals: &[String]) -> Vec<String> {
    let (text, matches) = unmark(marked);
    highlight(&text, &matches, &literals.iter().map(String::as_str).collect())
}

fn unmark(marked: &str) -> (String, Vec<Range<usize>>) {
    let (mut text, mut matches, mut open) = (String::new(), Vec::new(), None);
    for character in marked.chars() {
        match character {
            '\u{2}' => open = Some(text.len()),
            '\u{3}' => matches.extend(open.take().map(|start| start..text.len())),
            _ => text.push(character),
        }
    }
    (text, matches)
}

fn terms(terms: &[&str]) -> Vec<String> {
    terms.iter().map(|term| (*term).to_owned()).collect()
}

#[test]
fn nothing_marked_gives_nothing() {
    assert!(highlight_marked("", &[]).is_empty());
    assert!(highlight_marked("plain text", &terms(&["없음", ""])).is_empty());
}

#[test]
fn latin_marks_become_bold() {
    let fragments = highlight_marked("The \u{2}budget\u{3} of\n\n  the \u{2}Budgets\u{3}.", &[]);
    assert_eq!(fragments, ["The **budget** of the **Budgets**."]);
}

#[test]
fn bigrams_cover_runs_and_merge_with_what_they_touch() {
    let fragments = highlight_marked("전자 문서검색기와 \u{2}SQL\u{3}검색", &terms(&["문서", "서검", "검색"]));
    assert_eq!(fragments, ["전자 **문서검색**기와 **SQL검색**"]);
    assert_eq!(highlight_marked("가가가 나", &terms(&["가가", "나"])), ["**가가가** **나**"]);
}

#[test]
fn stray_marks_and_control_characters_are_dropped() {
    let marked = "a\u{3}b \u{2}\u{3} \u{2}x \u{2}hit\u{3} c\u{0}d\u{1b}e \u{2}open";
    assert_eq!(highlight_marked(marked, &[]), ["ab x **hit** cde open"]);
}

#[test]
fn a_match_of_spaces_is_none() {
    let long_word = "e\u{301}".repeat(90);
    assert!(highlight_marked(&format!("검색 엔진\u{2} \u{3}{long_word}"), &[]).is_empty());
    assert_eq!(highlight_marked("the\u{2} budget \u{3}of", &[]), ["the **budget** of"]);
    assert_eq!(highlight_marked("the \u{2}budget\u{3} \u{1}\n", &[]), ["the **budget**"]);
}

#[test]
fn long_text_is_cut_at_words_around_the_matches() {
    let filler = "lorem ipsum dolor sit amet ".repeat(20);
    let marked = format!("{filler}\u{2}alpha\u{3} {filler}\u{2}beta\u{3} \u{2}gamma\u{3} {filler}");
    let fragments = highlight_marked(&marked, &[]);
    assert_eq!(fragments.len(), 2);
    assert!(fragments[0].contains("**alpha**") && fragments[1].contains("**beta** **gamma**"));
    for fragment in &fragments {
        assert!(fragment.starts_with('…') && fragment.ends_with('…'));
        for word in fragment.trim_matches('…').split_whitespace() {
            let word = word.trim_matches('*');
            assert!(["lorem", "ipsum", "dolor", "sit", "amet", "alpha", "beta", "gamma"].contains(&word), "{word}");
        }
        assert!((140..=170).contains(&fragment.chars().count()), "{fragment}");
    }
}

#[test]
fn fragments_with_new_terms_come_before_repetitions() {
    let gap = "x ".repeat(200);
    let marked = ["one", "one", "one", "one", "two"].map(|word| format!("\u{2}{word}\u{3} {gap}")).concat();
    let fragments = highlight_marked(&marked, &[]);
    assert_eq!(fragments.len(), 3);
    assert!(fragments[0].starts_with("**one**") && fragments[1].contains("**one**"));
    assert!(fragments[2].contains("**two**"));
}

#[test]
fn an_endless_match_is_cut_to_three_fragments() {
    let fragments = highlight_marked(&"가".repeat(100_000), &terms(&["가가"]));
    assert_eq!(fragments.len(), 3);
    assert_eq!(fragments[0], format!("**{}**…", "가".repeat(160)));
    assert_eq!(fragments[1], format!("…**{}**…", "가".repeat(160)));
    let long = format!("\u{2}{}\u{3}", "word ".repeat(50_000));
    assert!(highlight_marked(&long, &[]).iter().all(|fragment| fragment.chars().count() <= 170));
}

proptest! {
    #[test]
    fn any_text_gives_short_marked_pieces_of_itself(
        pieces in prop::collection::vec(prop_oneof![
            Just("\u{2}".to_owned()),
            Just("\u{3}".to_owned()),
            Just("\u{2}match\u{3} ".to_owned()),
            Just("검색 엔진".to_owned()),
            Just("word ".repeat(30)),
            Just("e\u{301}".repeat(90)),
            "[a-z가나다 ]{0,30}",
            any::<String>(),
        ], 0..40),
        bigrams in prop::collection::vec("[가나다검색]{0,3}", 0..4),
    ) {
        let marked = pieces.concat().replace('*', "");
        let (text, matches) = unmark(&marked);
        let plain: String = Passage::new(&text, &matches).text.iter().collect();
        let fragments = highlight_marked(&marked, &bigrams);
        prop_assert!(fragments.len() <= 3);
        let mut from = 0;
        for fragment in fragments {
            prop_assert!(fragment.contains("**"), "{fragment}");
            prop_assert_eq!(fragment.matches("**").count() % 2, 0);
            prop_assert!(!fragment.contains("****"), "{fragment}");
            let text = fragment.replace("**", "");
            // The text may have ellipses of its own.
            let text = text.strip_prefix('…').unwrap_or(&text);
            let text = text.strip_suffix('…').unwrap_or(text);
            prop_assert!(text.chars().count() <= FRAGMENT_CHARACTERS);
            let found = plain[from..].find(text);
            prop_assert!(found.is_some(), "{text} is not in order in {plain}");
            from += found.unwrap();
        }
    }
}
