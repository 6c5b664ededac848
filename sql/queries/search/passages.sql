-- search/passages
WITH terms AS (
    -- Lexemes as one OR query; inside tsquery quotes a quote is doubled and a backslash escaped.
    SELECT string_agg('''' || replace(replace(term, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery AS query
    FROM unnest($3::text[]) AS term
)
SELECT c.chunk_no, d.id AS document_id, d.title, d.source, d.metadata, p.passage,
       CASE WHEN terms.query IS NOT NULL THEN
           ts_headline(text_search_configuration(d.language), translate(p.passage, chr(2) || chr(3), ''), terms.query,
                       'StartSel=' || chr(2) || ', StopSel=' || chr(3) || ', HighlightAll=true')
       END AS marked
FROM unnest($2::integer[]) WITH ORDINALITY AS wanted (chunk_no, place)
JOIN document_chunks c ON c.tenant_id = $1::uuid AND c.chunk_no = wanted.chunk_no
JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
CROSS JOIN LATERAL (SELECT substr(d.content, c.char_start + 1, c.char_end - c.char_start) AS passage) AS p
CROSS JOIN terms
ORDER BY wanted.place
