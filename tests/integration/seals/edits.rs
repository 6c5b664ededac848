//! What a superuser could do to the trail: statements, with what must be found of each.

/// Numbers that look random and are the same each time (xorshift, Marsaglia 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from((self.0 >> 11) % end.cast_unsigned()).unwrap()
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(i64::try_from(of.len()).unwrap())).unwrap()]
    }
}

/// One edit.
pub struct Edit {
    pub sql: String,
    /// The lowest id of a row that it touched; `None` where it touched seals.
    pub row: Option<i64>,
    /// Makes the chain anew afterwards, with no key or with another.
    pub rebuild: Option<Rebuild>,
}

#[derive(Clone, Copy)]
pub enum Rebuild {
    Unsigned,
    WithAnotherKey,
}

/// Each changes its column, whatever stands there.
const ROW_COLUMNS: [&str; 19] = [
    "\"timestamp\" = \"timestamp\" + interval '1 microsecond'",
    "\"timestamp\" = \"timestamp\" - interval '2 years'",
    "\"timestamp\" = 'infinity'",
    "completed_at = completed_at + interval '1 microsecond'",
    "tenant_id = (SELECT t.id FROM tenants t WHERE t.id <> tenant_id LIMIT 1)",
    "user_id = user_id || ' '",
    "user_id = user_id || action, action = ''",
    "call_id = gen_random_uuid()",
    "action = 'read'",
    "resource = CASE WHEN resource IS NULL THEN '' END",
    "resource = coalesce(resource, '') || 'x'",
    "resource_id = gen_random_uuid()",
    "details = details || '{\"p\": 1.5}'",
    "outcome = 'timeout', success = false",
    "error_message = CASE WHEN error_message IS NULL THEN '' END",
    "ip_address = CASE WHEN ip_address IS NULL THEN inet '10.0.0.1/8' END",
    "user_agent = CASE WHEN user_agent IS NULL THEN '' END",
    "duration_ms = duration_ms + 1",
    "duration_ms = NULL",
];

const SEAL_COLUMNS: [&str; 21] = [
    "seal_no = seal_no + 100",
    "seal_no = -seal_no",
    "first_id = first_id - 1",
    "first_id = first_id + 1",
    "last_id = last_id + 1",
    "last_id = last_id + 1000",
    "row_count = row_count + 1",
    "latest_timestamp = latest_timestamp - interval '1 microsecond'",
    "latest_timestamp = NULL",
    "sealed_until = sealed_until + interval '1 hour'",
    "retained_from = '2027-01-01'",
    "merkle_root = set_byte(merkle_root, 3, get_byte(merkle_root, 3) # 1)",
    "previous_head = set_byte(previous_head, 31, get_byte(previous_head, 31) # 128)",
    "head = set_byte(head, 0, get_byte(head, 0) # 1)",
    "key_id = NULL, signature = NULL",
    "key_id = '0123456789abcdef'",
    "signature = set_byte(signature, 5, get_byte(signature, 5) # 2)",
    "signature = NULL",
    "leaves = set_byte(leaves, 20, get_byte(leaves, 20) # 1)",
    "leaves = substr(leaves, 1, octet_length(leaves) - 48)",
    "leaves = NULL",
];

/// An edit of a trail whose rows have the ids from 1 to `rows`, under `seals` seals.
pub fn edit(random: &mut Random, rows: i64, seals: i64) -> Edit {
    let (id, seal_no) = (1 + random.below(rows), 1 + random.below(seals));
    let of_row = |sql: String, row: i64| Edit { sql, row: Some(row), rebuild: None };
    let of_seal = |sql: String| Edit { sql, row: None, rebuild: None };
    match random.below(14) {
        0..=3 => {
            // The same word may be there already.
            let column = random.pick(&ROW_COLUMNS);
            let column = if column == "action = 'read'" { "action = 'read '" } else { column };
            of_row(format!("UPDATE audit_logs SET {column} WHERE id = {id}"), id)
        }
        4 => of_row(format!("DELETE FROM audit_logs WHERE id = {id}"), id),
        5 => {
            let copy = random.pick(&[id, 0, -7]);
            let columns = "completed_at, tenant_id, user_id, gen_random_uuid(), action, resource, resource_id, details, outcome, success, error_message, ip_address, user_agent, duration_ms";
            let into = columns.replace("gen_random_uuid()", "call_id");
            let sql = format!(
                "INSERT INTO audit_logs (id, \"timestamp\", {into}) SELECT {copy}, \"timestamp\", {columns} FROM audit_logs WHERE id = {id}"
            );
            of_row(sql, copy)
        }
        6 => {
            let other = 1 + (id + random.below(rows - 1)) % rows;
            let sql = format!(
                "UPDATE audit_logs SET id = CASE id WHEN {id} THEN {other} ELSE {id} END WHERE id IN ({id}, {other})"
            );
            of_row(sql, id.min(other))
        }
        7 => {
            let to = random.pick(&[1_000_000, rows + 1, -1]);
            of_row(format!("UPDATE audit_logs SET id = {to} WHERE id = {id}"), id.min(to))
        }
        8 => of_seal(format!(
            "DELETE FROM audit_logs WHERE id >= (SELECT first_id FROM audit_seals WHERE seal_no = {seal_no}); DELETE FROM audit_seals WHERE seal_no >= {seal_no}"
        )),
        9 => of_seal(random.pick(&["TRUNCATE audit_seals", "TRUNCATE audit_seals, audit_logs"]).to_owned()),
        10 => of_seal(format!("DELETE FROM audit_seals WHERE seal_no = {seal_no}")),
        11 => Edit {
            sql: format!("DELETE FROM audit_logs WHERE id = {id}; TRUNCATE audit_seals"),
            row: None,
            rebuild: Some(random.pick(&[Rebuild::Unsigned, Rebuild::WithAnotherKey])),
        },
        _ => of_seal(format!("UPDATE audit_seals SET {} WHERE seal_no = {seal_no}", random.pick(&SEAL_COLUMNS))),
    }
}
