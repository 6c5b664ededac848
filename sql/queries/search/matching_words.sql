-- search/matching_words
-- Which of these words, each in a language, are indexed as one of the lexemes; by their places from 1.
WITH lexemes AS MATERIALIZED (
    -- As one OR query: inside its quotes a quote is doubled and a backslash escaped.
    SELECT string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery AS query
    FROM unnest($3::text[]) AS lexeme
)
SELECT word.place
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS word (language, text, place) CROSS JOIN lexemes
WHERE to_tsvector(text_search_configuration(word.language), spaced_words(word.text)) @@ lexemes.query
