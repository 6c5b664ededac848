-- search/holding
-- The chunks, of those given, whose passage or title holds the phrase. Where words have no spaces between them the
-- characters are compared, without spaces; elsewhere the stems, in the document's language.
SELECT c.chunk_no
FROM unnest($2::integer[]) AS wanted (chunk_no)
JOIN document_chunks c ON c.tenant_id = $1::uuid AND c.chunk_no = wanted.chunk_no
JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
WHERE EXISTS (
    SELECT FROM (VALUES (d.title), (substr(d.content, c.char_start + 1, c.char_end - c.char_start))) AS place (text)
    WHERE CASE WHEN $4::boolean
               THEN position(regexp_replace(lower(normalize($3::text, NFKC)), '\s+', '', 'g')
                             IN regexp_replace(lower(normalize(place.text, NFKC)), '\s+', '', 'g')) > 0
               ELSE to_tsvector(text_search_configuration(d.language), spaced_words(place.text))
                    @@ phraseto_tsquery(text_search_configuration(d.language), normalize($3, NFKC)) END
)
