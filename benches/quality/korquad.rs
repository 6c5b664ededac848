//! KorQuAD 1.0 dev as a collection.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::collections::{Collection, Query, check_ids, document};
use super::files::{parse, read};

#[derive(Deserialize)]
struct KorQuad {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    title: String,
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    question: String,
}

/// Loads KorQuAD 1.0 dev from `data/korquad`: each distinct context a document, each question a query for its context.
pub fn korquad(data: &Path) -> Result<Collection, String> {
    let path = data.join("korquad").join("KorQuAD_v1.0_dev.json");
    let whole: KorQuad = parse(&read(&path)?, &path.display().to_string())?;
    let (mut documents, mut queries, mut known) = (Vec::new(), Vec::new(), HashMap::new());
    for article in whole.data {
        for Paragraph { context, qas } in article.paragraphs {
            let fresh = documents.len();
            let place = *known.entry(context.clone()).or_insert(fresh);
            if place == fresh {
                documents.push(document(place.to_string(), &article.title, &context, None));
            }
            queries.extend(qas.into_iter().map(|asked| Query {
                id: asked.id,
                text: asked.question,
                vector: None,
                judged: HashMap::from([(place.to_string(), 1.0)]),
            }));
        }
    }
    let collection = Collection { name: "KorQuAD", documents, queries };
    check_ids(&collection)?;
    Ok(collection)
}
