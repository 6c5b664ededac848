-- search/word_terms
-- What each word is indexed as in each of the tenant's languages; without a lexeme where it is a stop word there.
SELECT word.no, spoken.language, t.lexeme
FROM tenant_languages spoken
CROSS JOIN unnest($2::text[]) WITH ORDINALITY AS word (text, no)
LEFT JOIN LATERAL text_terms(spoken.language, word.text) AS t ON true
WHERE spoken.tenant_id = $1::uuid
