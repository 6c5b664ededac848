//! A tenant's answers are the same whatever the others do: byte for byte, scores included, ids and times aside.

use bailiwick::maintenance::{self, Scope};
use serde_json::{Value, json};

use super::ranking::{Dice, corpus, store, two_tenants};
use crate::harness::{Session, Tenant, TestDatabase};

/// What a tenant does next.
async fn act(dice: &mut Dice, number: usize, database: &TestDatabase, tenant: &Tenant, session: &Session) {
    let psql = async |sql: String| {
        database.execute(&format!("SET app.current_tenant_id = '{}'; {sql}", tenant.id)).await;
    };
    let pick = format!(
        "id = (SELECT id FROM documents WHERE tenant_id = current_tenant_id() ORDER BY title OFFSET {} LIMIT 1)",
        dice.roll(6)
    );
    match dice.roll(7) {
        0..=2 => store(session, &corpus(1_000 + number as u64, 2)).await,
        3 => psql(format!("DELETE FROM documents WHERE tenant_id = current_tenant_id() AND {pick}")).await,
        4 => psql(format!("UPDATE documents SET content = content || ' budget holiday' WHERE tenant_id = current_tenant_id() AND {pick}")).await,
        5 => psql(format!("UPDATE documents SET metadata = '{{\"n\": {number}}}' WHERE tenant_id = current_tenant_id() AND {pick}")).await,
        _ => {
            let admin = database.connect_admin().await;
            maintenance::merge_step(&admin, tenant.id, 1 + dice.roll(9) as i64).await.unwrap();
        }
    }
}

async fn answers(session: &Session) -> String {
    let mut answers = Vec::new();
    for query in ["holiday leave", "\"running\" rivers -bank", "budgett alarm", "fire bicycle visitor badge"] {
        for weights in [(1.0, 0.0), (0.5, 0.5)] {
            let mut answer = session
                .ok("hybrid_search", json!({ "query": query, "query_embedding": [1, 2, 3, 4], "limit": 50, "explain": true, "bm25_weight": weights.0, "vector_weight": weights.1 }))
                .await;
            answer["duration_ms"] = Value::Null;
            for row in answer["results"].as_array_mut().unwrap() {
                row["document_id"] = Value::Null;
            }
            answers.push(answer);
        }
    }
    serde_json::to_string(&answers).unwrap()
}

#[tokio::test]
async fn what_others_do_changes_no_byte_of_an_answer() {
    for seed in [11, 12] {
        let (shared, b, a) = two_tenants().await;
        let (alone, b_alone, _) = two_tenants().await;
        let (ours, theirs, apart) =
            (Session::open(&shared, &b).await, Session::open(&shared, &a).await, Session::open(&alone, &b_alone).await);
        let (mut b_dice, mut alone_dice, mut a_dice) = (Dice(seed), Dice(seed), Dice(seed + 50));
        for number in 0..24 {
            act(&mut b_dice, number, &shared, &b, &ours).await;
            act(&mut a_dice, number + 500, &shared, &a, &theirs).await;
            act(&mut alone_dice, number, &alone, &b_alone, &apart).await;
            if number % 6 == 5 {
                // Merged in one world and not in the other: that is nothing to be seen either.
                maintenance::run(&shared.connect_admin().await, None, Scope::Everything, None).await.unwrap();
            }
            if number % 4 == 3 {
                assert_eq!(answers(&ours).await, answers(&apart).await, "seed {seed}, step {number}");
            }
        }
    }
}
