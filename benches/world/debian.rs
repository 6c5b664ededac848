//! Real English texts: the long descriptions of Debian's packages, read through apt.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Frequent English words of four letters or more that say nothing about a text.
const STOP_WORDS: &str = "about above after again also another because been before being below between both cannot \
    could does doing down during each either even ever every from further have having here herself himself into \
    itself just like many more most much must neither once only other ours over same shall should since some such \
    than that their them themselves then there therefore these they this those through thus under until upon very \
    well were what when where whether which while whom whose will with within without would your yours yourself";
/// What to do where there are no texts.
const ADVICE: &str = "run `apt-get update -o Acquire::Languages=en` as root";

/// A text with its title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The name and the short description of a package.
    pub title: String,
    /// The long description.
    pub body: String,
}

/// The first `limit` texts: real descriptions by package name, then new texts mixed from three of them each.
pub fn descriptions(limit: usize) -> Result<Vec<Text>, String> {
    let (mut texts, bodies) = real()?;
    let mixed = mix(&texts, limit.saturating_sub(texts.len()), bodies);
    texts.truncate(limit);
    texts.extend(mixed);
    Ok(texts)
}

/// Up to `count` queries of 3 to 6 successive words from a sentence of a random text (fewer if the texts have none).
pub fn queries(texts: &[Text], count: usize, seed: u64) -> Vec<String> {
    let plain = |word: &str| word.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '\'');
    let long = |word: &&str| word.chars().filter(|c| c.is_alphabetic()).count() >= 6;
    let attempts = if texts.is_empty() { 0 } else { count as u64 * 1_000 };
    let query = |attempt: u64| {
        let pick = |part: u64, bound: usize| pick([seed, attempt, part], bound);
        let sentences = sentences(&texts[pick(0, texts.len())].body);
        let sentence = sentences.get(pick(1, sentences.len()))?;
        let words: Vec<&str> = sentence.split_whitespace().map(|word| word.trim_matches(bare)).collect();
        let length = 3 + pick(2, 4);
        let window = words.windows(length).nth(pick(3, (words.len() + 1).saturating_sub(length)))?;
        let natural = window.iter().all(|word| !word.is_empty() && plain(word)) && window.iter().any(long);
        natural.then(|| window.join(" ").to_lowercase())
    };
    (0..attempts).filter_map(query).take(count).collect()
}

/// The word, of four letters or more and no stop word, that the nearest to 40 % of all texts hold, as 5,000 of them tell.
pub fn common_query(texts: &[Text]) -> String {
    // From end to end, for those behind the real ones are longer.
    let sample: Vec<&Text> = texts.iter().step_by((texts.len() / 5_000).max(1)).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for text in &sample {
        let whole = format!("{} {}", text.title, text.body).to_lowercase();
        for word in whole.split(bare).filter(|word| word.len() >= 4).collect::<HashSet<_>>() {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    let fits = |word: &str| word.chars().all(|c| c.is_ascii_alphabetic()) && !STOP_WORDS.split(' ').any(|s| s == word);
    let distance = |(word, n): &(String, usize)| ((n * 5).abs_diff(sample.len() * 2), word.clone());
    counts.into_iter().filter(|(word, _)| fits(word)).min_by_key(distance).unwrap_or_default().0
}

fn bare(character: char) -> bool {
    !character.is_alphanumeric()
}

fn hash(body: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(body)
}

/// A number below the bound that the key alone decides, whatever the version of Rust.
fn pick(key: [u64; 3], bound: usize) -> usize {
    let mixed = key.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, part| {
        let mixed = (state ^ part).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    });
    (mixed % bound.max(1) as u64) as usize
}

/// The real descriptions, with the hashes of their bodies.
fn real() -> Result<(Vec<Text>, HashSet<u64>), String> {
    let mut found = Vec::new();
    for list in lists()? {
        let list = run(Command::new("/usr/lib/apt/apt-helper").arg("cat-file").arg(list))?;
        found.extend(parse(&list));
    }
    found.sort();
    let mut bodies = HashSet::new();
    found.retain(|(_, _, body)| body.chars().count() >= 80 && bodies.insert(hash(body)));
    if found.len() < 10_000 {
        return Err(format!("apt's lists hold only {} English descriptions: {ADVICE}", found.len()));
    }
    let text = |(name, short, body)| Text { title: format!("{name}: {short}"), body };
    Ok((found.into_iter().map(text).collect(), bodies))
}

/// The lists of the machine, else of a private folder of our own, filled from the network where it is empty.
fn lists() -> Result<Vec<PathBuf>, String> {
    let folder = std::env::temp_dir().join("bailiwick-bench-apt");
    let (state, cache, settings) = (folder.join("state"), folder.join("cache"), folder.join("apt.conf"));
    let held = || translations(Path::new("/var/lib/apt/lists")).or_else(|| translations(&state.join("lists")));
    if let Some(held) = held() {
        return Ok(held);
    }
    let off = ["Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"].map(|at| format!("#clear APT::Update::{at};\n"));
    let rest = "Acquire::Languages \"en\";\nAcquire::http::Timeout \"30\";\n";
    let rest = format!("{rest}Dir::State \"{}\";\nDir::Cache \"{}\";\n", state.display(), cache.display());
    std::fs::create_dir_all(state.join("lists/partial"))
        .and_then(|()| std::fs::create_dir_all(cache.join("archives/partial")))
        .and_then(|()| std::fs::write(&settings, off.concat() + &rest))
        .map_err(|error| error.to_string())
        .and_then(|()| run(Command::new("apt-get").arg("-c").arg(&settings).arg("update")))
        .and_then(|log| held().ok_or(log))
        .map_err(|error| format!("apt has no English descriptions ({error}): {ADVICE}"))
}

fn translations(folder: &Path) -> Option<Vec<PathBuf>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.to_string_lossy().contains("Translation-en"));
    (!paths.is_empty()).then_some(paths)
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let [said, failure] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() { Ok(said) } else { Err(format!("{command:?}: {}", failure.trim())) }
}

/// The name, short and long description of each stanza.
fn parse(list: &str) -> impl Iterator<Item = (String, String, String)> {
    list.split("\n\n").filter_map(|stanza| {
        let name = stanza.lines().find_map(|line| line.strip_prefix("Package: "))?;
        let mut lines = stanza.lines().skip_while(|line| !line.starts_with("Description-en: "));
        let short = lines.next()?.strip_prefix("Description-en: ")?;
        let long = lines.map_while(|line| if line == " ." { Some("") } else { line.strip_prefix(' ') });
        Some((name.to_owned(), short.to_owned(), long.collect::<Vec<_>>().join("\n").trim().to_owned()))
    })
}

/// Cut after full stops, at empty lines and before the points of a list.
fn sentences(body: &str) -> Vec<&str> {
    let ends = [". ", ".\n", "\n\n", "\n *", "\n -", "\n*", "\n-"];
    let mut cuts: Vec<usize> = ends.iter().flat_map(|end| body.match_indices(end)).map(|(at, _)| at + 1).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| body[cut[0]..cut[1]].trim()).filter(|part| !part.trim_matches(bare).is_empty()).collect()
}

/// New texts, each of about a third of the sentences of three different real ones.
fn mix(texts: &[Text], count: usize, mut bodies: HashSet<u64>) -> Vec<Text> {
    let cut: Vec<Vec<&str>> = if count == 0 { vec![] } else { texts.iter().map(|t| sentences(&t.body)).collect() };
    let mixed = |attempt: u64| {
        let [one, two, three] = [0, 1, 2].map(|part| pick([attempt, part, 0], texts.len()));
        let mut body: Vec<&str> = Vec::new();
        for source in [one, two, three] {
            let length = cut[source].len().div_ceil(3);
            let start = pick([attempt, source as u64, 1], cut[source].len() - length + 1);
            body.extend(&cut[source][start..start + length]);
        }
        let name = |source: usize| texts[source].title.split_once(": ").unwrap_or_default();
        let title = format!("{}-{}: {}", name(one).0, name(two).0, name(three).1);
        let text = Text { title, body: body.join("\n") };
        (one != two && two != three && one != three && bodies.insert(hash(&text.body))).then_some(text)
    };
    (0..count as u64 * 20).filter_map(mixed).take(count).collect()
}
