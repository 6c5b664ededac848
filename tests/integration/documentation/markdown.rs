use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What tests look at in a document.
#[derive(Debug, Default)]
pub struct Document {
    /// Level and text.
    pub headings: Vec<(usize, String)>,
    /// Targets of links and images.
    pub links: Vec<String>,
    /// Blocks of code.
    pub fences: Vec<Fence>,
    /// Code within text.
    pub code: Vec<String>,
    /// Rows of tables: for each cell the code in it and its text. The first is the head.
    pub tables: Vec<Vec<Vec<Cell>>>,
}

/// A cell of a table.
#[derive(Debug, Default, Clone)]
pub struct Cell {
    pub text: String,
    pub code: Vec<String>,
}

/// A block of code, with what the comment before it says.
#[derive(Debug, Default)]
pub struct Fence {
    pub language: String,
    pub text: String,
    /// Why it is not run: `<!-- not run: … -->`.
    pub not_run: Option<String>,
    /// What readers need not see, but must have happened: `<!-- before … -->`.
    pub before: Option<String>,
}

impl Document {
    pub fn read(text: &str) -> Self {
        let mut document = Self::default();
        let (mut comment, mut heading, mut fence, mut in_cell) = (String::new(), None, None, false);
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Html(html) => comment.push_str(&html),
                Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
                Event::Start(Tag::CodeBlock(kind)) => {
                    let CodeBlockKind::Fenced(language) = kind else { continue };
                    let said = std::mem::take(&mut comment);
                    let part = |name: &str| {
                        let rest = said.split_once(&format!("<!-- {name}"))?.1;
                        Some(rest.split("-->").next()?.trim_start_matches(':').trim().to_owned())
                    };
                    let (not_run, before) = (part("not run"), part("before"));
                    fence = Some(Fence { language: language.to_string(), not_run, before, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => document.fences.extend(fence.take()),
                Event::Start(Tag::Heading { level, .. }) => heading = Some((level as usize, String::new())),
                Event::End(TagEnd::Heading(_)) => document.headings.extend(heading.take()),
                Event::Start(Tag::Table(_)) => document.tables.push(Vec::new()),
                Event::Start(Tag::TableHead | Tag::TableRow) => document.tables.last_mut().unwrap().push(Vec::new()),
                Event::End(TagEnd::TableCell) => in_cell = false,
                Event::Start(Tag::TableCell) => {
                    in_cell = true;
                    document.tables.last_mut().unwrap().last_mut().unwrap().push(Cell::default());
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.to_string());
                }
                Event::Text(text) | Event::Code(text) if heading.is_some() => {
                    heading.as_mut().unwrap().1.push_str(&text);
                }
                Event::Text(text) => match &mut fence {
                    Some(fence) => fence.text.push_str(&text),
                    None if in_cell => document.say(&text, false),
                    None => {}
                },
                Event::Code(code) => {
                    document.code.push(code.to_string());
                    if in_cell {
                        document.say(&code, true);
                    }
                }
                Event::Start(Tag::Paragraph) => comment.clear(),
                _ => {}
            }
        }
        document
    }

    /// Notes text in the cell that is being read.
    fn say(&mut self, text: &str, is_code: bool) {
        let cell = self.tables.last_mut().and_then(|rows| rows.last_mut()).and_then(|cells| cells.last_mut());
        if let Some(cell) = cell {
            cell.text.push_str(text);
            if is_code {
                cell.code.push(text.to_owned());
            }
        }
    }

    /// A heading's anchor, as GitHub makes it.
    pub fn anchor(heading: &str) -> String {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    }
}

#[test]
fn what_stands_before_a_block_is_said_of_it_alone() {
    let document = Document::read(
        "# A\n\n<!-- before\none\ntwo\n-->\n<!-- not run: why -->\n```sh\nthree\n```\n\nText `code`.\n\n```sh\nfour\n```\n",
    );
    assert_eq!(document.fences[0].not_run.as_deref(), Some("why"));
    assert_eq!(document.fences[0].before.as_deref(), Some("one\ntwo"));
    assert_eq!((document.fences[0].text.as_str(), document.fences[1].text.as_str()), ("three\n", "four\n"));
    assert!(document.fences[1].not_run.is_none() && document.fences[1].before.is_none());
    let stale = Document::read("<!-- not run: of the text -->\n\nText.\n\n```sh\na\n```\n");
    assert!(stale.fences[0].not_run.is_none(), "a comment before a paragraph is not the block's");
}
