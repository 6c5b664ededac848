//! The index under change: whatever is inserted, changed, deleted, merged and rebuilt, and in whatever order, a search
//! ranks as the oracle does over the documents that are there.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bailiwick::maintenance::{self, Scope};
use serde_json::json;

use super::oracle::{Document, rank};
use super::ranking::{Dice, agree, corpus, store, two_tenants};
use crate::harness::{Session, Tenant, TestDatabase};

const QUERIES: [&str; 4] =
    ["holiday leave", "running rivers bank running", "fire alarm parking bicycle visitor", "budget"];

/// Statements of a superuser within a tenant's context, as an administrator with psql gives them.
async fn psql(database: &TestDatabase, tenant: &Tenant, sql: &str) {
    database.execute(&format!("SET app.current_tenant_id = '{}'; {sql}", tenant.id)).await;
}

async fn ranks_as_the_oracle(database: &TestDatabase, session: &Session, documents: &[Document], context: &str) {
    let admin = database.connect_admin().await;
    for query in QUERIES {
        let arguments = json!({ "query": query, "query_embedding": [1, 2, -3, 4], "limit": 50 });
        let answer = session.ok("hybrid_search", arguments).await;
        let expected = rank(&admin, documents, query, Some([1.0, 2.0, -3.0, 4.0]), (0.5, 0.5)).await;
        let context = format!("{context}: {query:?}");
        agree(answer["results"].as_array().unwrap(), &expected[..expected.len().min(50)], &context);
        assert_eq!(answer["total_candidates"], expected.len(), "{context}");
    }
}

#[tokio::test]
async fn any_order_of_changes_and_merges_ranks_as_the_oracle() {
    for seed in [1, 2, 3] {
        let (database, demo, enterprise) = two_tenants().await;
        let (session, other) = (Session::open(&database, &demo).await, Session::open(&database, &enterprise).await);
        let admin = database.connect_admin().await;
        store(&other, &corpus(seed + 90, 20)).await;
        let mut dice = Dice(seed);
        let mut stock = corpus(seed + 20, 120).into_iter();
        let mut documents: Vec<Document> = stock.by_ref().take(12).collect();
        store(&session, &documents).await;
        for round in 0..36 {
            let pick = dice.roll(documents.len());
            let old_title = documents[pick].title.clone();
            let title = old_title.replace('\'', "''");
            let action = dice.roll(13);
            match action {
                0..=2 => {
                    let new: Vec<Document> = stock.by_ref().take(1 + dice.roll(4)).collect();
                    store(&session, &new).await;
                    documents.extend(new);
                }
                3 if documents.len() > 3 => {
                    psql(
                        &database,
                        &demo,
                        &format!("DELETE FROM documents WHERE tenant_id = current_tenant_id() AND title = '{title}'"),
                    )
                    .await;
                    documents.remove(pick);
                }
                4 => {
                    psql(&database, &demo, &format!("UPDATE documents SET content = content || ' holiday budget' WHERE tenant_id = current_tenant_id() AND title = '{title}'")).await;
                    let mut changed = documents.remove(pick);
                    changed.content.push_str(" holiday budget");
                    // Its chunks are new ones, so it now stands behind the others.
                    documents.push(changed);
                }
                5..=6 => {
                    maintenance::merge_step(&admin, demo.id, 1 + dice.roll(9) as i64).await.unwrap();
                }
                7 => {
                    maintenance::run(&admin, None, Scope::Everything, Some(demo.id)).await.unwrap();
                }
                // Through the tool: text, title, metadata, or a vector alone.
                8..=11 => {
                    let mut changed = documents.remove(pick);
                    let change = match action {
                        8 => {
                            changed.content.push_str(" visitor parking");
                            // A new text has no vector, until somebody gives it one.
                            changed.embedding = Some([1.0, dice.roll(5) as f32 - 2.0, 1.0, 0.5]);
                            json!({ "content": changed.content, "embedding": changed.embedding, "language": "en" })
                        }
                        9 => {
                            changed.title.push_str(" budget");
                            json!({ "title": changed.title })
                        }
                        10 => json!({ "metadata": { "round": round } }),
                        _ => {
                            changed.embedding = Some([1.0, dice.roll(5) as f32 - 2.0, 3.0, -1.0]);
                            json!({ "embedding": changed.embedding })
                        }
                    };
                    let sql = "SELECT id::text FROM documents WHERE tenant_id = $1 AND title = $2";
                    let id: String = admin.query_one(sql, &[&demo.id, &old_title]).await.unwrap().get(0);
                    let mut arguments = change;
                    arguments["document_id"] = id.into();
                    session.ok("update_document", arguments).await;
                    // New terms, facets or text: new chunks, behind the others. A vector is exchanged where it stands.
                    match action {
                        11 => documents.insert(pick, changed),
                        _ => documents.push(changed),
                    }
                }
                _ => {
                    maintenance::run(&admin, None, Scope::Rebuild, Some(demo.id)).await.unwrap();
                }
            }
            if round % 3 == 0 {
                ranks_as_the_oracle(
                    &database,
                    &session,
                    &documents,
                    &format!("seed {seed}, round {round}, action {action}"),
                )
                .await;
            }
        }
        ranks_as_the_oracle(&database, &session, &documents, &format!("seed {seed}, at the end")).await;
    }
}

#[tokio::test]
async fn the_sql_function_reads_blocks_fresh_rows_and_tombstones() {
    let (database, demo, _) = two_tenants().await;
    let session = Session::open(&database, &demo).await;
    let admin = database.connect_admin().await;
    store(&session, &corpus(5, 60)).await;
    maintenance::merge_step(&admin, demo.id, 40).await.unwrap();
    psql(&database, &demo, "DELETE FROM documents WHERE title LIKE '%n1%'").await;
    let app = database.connect_app().await;
    app.batch_execute(&format!("SET app.current_tenant_id = '{}'", demo.id)).await.unwrap();
    assert!(database.value::<i64>("SELECT count(*) FROM chunk_tombstones").await > 3);
    for query in QUERIES {
        let answer =
            session.ok("hybrid_search", json!({ "query": query, "query_embedding": [1, 2, 3, 4], "limit": 50 })).await;
        let sql = "SELECT id::text, combined_score, bm25_score FROM hybrid_search($1::text::uuid, $2, '[1,2,3,4]', 50)";
        let rows = app.query(sql, &[&demo.id.to_string(), &query]).await.unwrap();
        let found = answer["results"].as_array().unwrap();
        assert!(found.len() == rows.len() && rows.len() > 10);
        for (one, other) in found.iter().zip(&rows) {
            assert_eq!(one["document_id"], other.get::<_, String>(0), "{query}");
            let (a, b) = (one["bm25_score"].as_f64(), other.get::<_, Option<f64>>(2));
            assert!((a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() < 1e-9, "{query}: {a:?} {b:?}");
        }
    }
}

/// What a recount finds wrong with the index of all tenants; empty if nothing.
async fn faults(database: &TestDatabase) -> String {
    let sql = "WITH live AS (
                   SELECT c.tenant_id, c.chunk_no, t.lexeme, t.frequency
                   FROM document_chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
                   CROSS JOIN LATERAL chunk_terms(d.language, d.title, substr(d.content, c.char_start + 1, c.char_end - c.char_start)) t
               ), indexed AS (
                   SELECT f.tenant_id, f.chunk_no, t.lexeme, t.positions[1]::integer AS frequency
                   FROM fresh_postings f, unnest(f.terms) t WHERE t.lexeme NOT LIKE chr(1) || '%'
                   UNION ALL
                   SELECT b.tenant_id, p.chunk_no, l.lexeme, p.frequency
                   FROM (SELECT DISTINCT tenant_id, lexeme FROM live) l
                   JOIN posting_blocks b ON b.tenant_id = l.tenant_id
                   CROSS JOIN LATERAL block_postings(b.postings, l.lexeme) p
                   WHERE NOT EXISTS (SELECT FROM chunk_tombstones d WHERE d.tenant_id = b.tenant_id AND d.chunk_no = p.chunk_no)
               ), differing AS (
                   (TABLE live EXCEPT ALL TABLE indexed) UNION ALL (TABLE indexed EXCEPT ALL TABLE live)
               )
               SELECT coalesce(string_agg(x::text, '; '), '') FROM (
                   SELECT differing::text AS x FROM differing
                   UNION ALL
                   SELECT 'usage ' || u::text FROM tenant_usage u
                   WHERE (u.chunk_count, u.total_length) <> (
                       (SELECT count(*) FROM document_chunks c WHERE c.tenant_id = u.tenant_id),
                       (SELECT coalesce(sum(frequency), 0) FROM live WHERE live.tenant_id = u.tenant_id))
                   UNION ALL
                   SELECT 'tombstones ' || u.buried_chunks FROM tenant_usage u LEFT JOIN index_state s ON s.tenant_id = u.tenant_id
                   WHERE u.buried_chunks - coalesce(s.purged_chunks, 0) <> (SELECT count(*) FROM chunk_tombstones d WHERE d.tenant_id = u.tenant_id)
               ) AS faults";
    database.value(sql).await
}

#[tokio::test]
async fn inserts_deletions_merges_and_searches_at_once_lose_nothing() {
    let (database, demo, _) = two_tenants().await;
    let session = Session::open(&database, &demo).await;
    let steady = json!({ "title": "Steady", "content": "The xylophone stays where it is." });
    session.ok("insert_document", steady).await;
    let started = Instant::now();
    // For four seconds, and on a loaded machine until each has had its turns.
    const TURNS: u64 = 21;
    let (gone, merged, searched) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let runs = || {
        let had_turns = gone.get().min(merged.get()).min(searched.get()) >= TURNS;
        started.elapsed() < Duration::from_secs(if had_turns { 4 } else { 60 })
    };
    let inserts = async {
        let mut documents = corpus(31, 2_000).into_iter();
        while runs() {
            let next: Vec<_> = documents.by_ref().take(3).collect();
            if next.is_empty() {
                break;
            }
            store(&session, &next).await;
        }
    };
    // Two who delete several at once, in opposite orders: with each other and with a merge they want the same rows.
    let deletes = async |order: &str| {
        let client = database.connect_admin().await;
        client.batch_execute(&format!("SET app.current_tenant_id = '{}'", demo.id)).await.unwrap();
        while runs() {
            let delete = format!(
                "DELETE FROM documents WHERE id IN (SELECT id FROM documents WHERE title <> 'Steady' ORDER BY created_at {order} LIMIT 3 FOR UPDATE SKIP LOCKED)"
            );
            gone.set(gone.get() + client.execute(&delete, &[]).await.unwrap());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    };
    let merges = async |limit: i64| {
        let client = database.connect_admin().await;
        while runs() {
            let step: u64 = maintenance::merge_step(&client, demo.id, limit).await.unwrap().try_into().unwrap();
            merged.set(merged.get() + step);
        }
    };
    let purges = async {
        let client = database.connect_admin().await;
        while runs() {
            maintenance::run(&client, None, Scope::Everything, Some(demo.id)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let searches = async {
        while runs() {
            assert_eq!(session.titles(json!({ "query": "xylophone" })).await, ["Steady"]);
            searched.set(searched.get() + 1);
        }
    };
    tokio::join!(inserts, deletes("ASC"), deletes("DESC"), merges(5), merges(40), purges, searches);
    let turns = [gone.get(), merged.get(), searched.get()];
    assert!(turns.iter().all(|turns| *turns >= TURNS), "deleted, merged, searched: {turns:?}");
    assert_eq!(faults(&database).await, "");
    maintenance::run(&database.connect_admin().await, None, Scope::Everything, None).await.unwrap();
    assert_eq!(faults(&database).await, "");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM fresh_postings").await, 0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM chunk_tombstones").await, 0);
}

#[tokio::test]
async fn a_damaged_block_is_an_error_and_a_rebuild_mends_it() {
    let (database, demo, _) = two_tenants().await;
    let session = Session::open(&database, &demo).await;
    let documents = corpus(41, 20);
    store(&session, &documents).await;
    let admin = database.connect_admin().await;
    maintenance::run(&admin, None, Scope::Everything, Some(demo.id)).await.unwrap();
    ranks_as_the_oracle(&database, &session, &documents, "merged").await;
    psql(&database, &demo, "UPDATE posting_blocks SET postings = set_byte(postings, 40, get_byte(postings, 40) # 1)")
        .await;
    let text = session.refused("hybrid_search", json!({ "query": "holiday" })).await;
    assert!(text.starts_with("internal"), "{text}");
    maintenance::run(&admin, None, Scope::Rebuild, Some(demo.id)).await.unwrap();
    ranks_as_the_oracle(&database, &session, &documents, "rebuilt").await;
}
