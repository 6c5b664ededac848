-- system/note_api_key_use
SELECT note_api_key_use($1::uuid, $2::uuid)
