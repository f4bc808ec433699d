"""Let the database replace who an erased person was in the events that name them, and no more.

An event stays final. The one change that the trigger admits is what `audit_event_redacted` makes
of the row for a person whose account row says that it was erased. So no caller can choose what
becomes of an event: a shell that sets the same variable gets the same result or an error.
"""

from django.db import migrations

FUNCTIONS = r"""
CREATE FUNCTION audit_words_replaced(
    line text, words text[], edge text, flags text, replacement text
) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- The longest first, so that no part of a name is left standing.
    pattern text := (
        SELECT string_agg(
            regexp_replace(word, '([^[:alnum:][:space:]])', '\\\1', 'g'), '|'
            ORDER BY length(word) DESC
        ) FROM unnest(words) AS word WHERE word <> ''
    );
BEGIN
    -- Whole words: what is replaced for Al must not touch Alice.
    RETURN CASE WHEN pattern IS NULL THEN line ELSE regexp_replace(
        line,
        '(?<!' || edge || ')(?:' || pattern || ')(?![[:alnum:]_]|[.-][[:alnum:]])',
        replacement,
        flags
    ) END;
END $$;

CREATE FUNCTION audit_text_redacted(
    line text, names text[], addresses text[], pseudonym text
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT audit_words_replaced(
        audit_words_replaced(line, addresses, '[[:alnum:]_.+-]', 'gi', pseudonym),
        names, '[[:alnum:]_]', 'g', pseudonym
    )
$$;

-- The texts in a value, however deep; never the names of its fields.
CREATE FUNCTION audit_json_redacted(
    value jsonb, names text[], addresses text[], pseudonym text
) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE jsonb_typeof(value)
        WHEN 'string' THEN
            to_jsonb(audit_text_redacted(value #>> '{}', names, addresses, pseudonym))
        WHEN 'array' THEN (
            SELECT coalesce(jsonb_agg(
                audit_json_redacted(item, names, addresses, pseudonym) ORDER BY place
            ), '[]')
            FROM jsonb_array_elements(value) WITH ORDINALITY AS items (item, place)
        )
        WHEN 'object' THEN (
            SELECT coalesce(jsonb_object_agg(
                field, audit_json_redacted(item, names, addresses, pseudonym)
            ), '{}')
            FROM jsonb_each(value) AS items (field, item)
        )
        ELSE value
    END;
END $$;

-- The shape of a value without its texts.
CREATE FUNCTION audit_json_blanked(value jsonb, pseudonym text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE jsonb_typeof(value)
        WHEN 'string' THEN to_jsonb(pseudonym)
        WHEN 'array' THEN (
            SELECT coalesce(jsonb_agg(audit_json_blanked(item, pseudonym) ORDER BY place), '[]')
            FROM jsonb_array_elements(value) WITH ORDINALITY AS items (item, place)
        )
        WHEN 'object' THEN (
            SELECT coalesce(jsonb_object_agg(field, audit_json_blanked(item, pseudonym)), '{}')
            FROM jsonb_each(value) AS items (field, item)
        )
        ELSE value
    END;
END $$;

CREATE FUNCTION audit_event_redacted(
    event audit_auditevent, erasing jsonb
) RETURNS audit_auditevent LANGUAGE plpgsql STABLE AS $$
DECLARE
    person text := erasing ->> 'person';
    pseudonym text := 'Deleted account ' || left(person, 8);
    is_own boolean := coalesce(event.user_id::text = person, false);
    is_about boolean := event.target_id = person;
    is_at_home boolean := coalesce(event.team_id::text = erasing ->> 'team', false);
    is_theirs boolean := is_own OR is_about OR is_at_home;
    -- Elsewhere a name may be another person's. An address that nobody else has is not.
    names text[] := CASE WHEN is_theirs THEN
        ARRAY(SELECT jsonb_array_elements_text(erasing -> 'names')) ELSE '{}' END;
    addresses text[] := ARRAY(SELECT jsonb_array_elements_text(
        erasing -> CASE WHEN is_theirs THEN 'addresses' ELSE 'own_addresses' END
    ));
BEGIN
    IF is_own THEN
        event.actor_label := pseudonym;
        event.ip := NULL;
        event.user_agent := '';
    END IF;
    IF is_own AND is_about AND is_at_home THEN
        -- What they did with their account alone: names of devices and places, addresses that
        -- they mistyped, and nothing of anybody else's. What it was and when is told without.
        event.description := event.operation;
        event.target_label := pseudonym;
        event.before := audit_json_blanked(event.before, pseudonym);
        event.after := audit_json_blanked(event.after, pseudonym);
        RETURN event;
    END IF;
    event.description := audit_text_redacted(event.description, names, addresses, pseudonym);
    event.target_label := CASE WHEN is_about THEN pseudonym
        ELSE audit_text_redacted(event.target_label, names, addresses, pseudonym) END;
    event.before := audit_json_redacted(event.before, names, addresses, pseudonym);
    event.after := audit_json_redacted(event.after, names, addresses, pseudonym);
    RETURN event;
END $$;

CREATE OR REPLACE FUNCTION audit_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erasing jsonb := nullif(current_setting('console.erasing', true), '')::jsonb;
BEGIN
    IF TG_OP = 'UPDATE' AND erasing IS NOT NULL
        AND EXISTS (
            SELECT FROM accounts_user
            WHERE id::text = erasing ->> 'person' AND erased_at IS NOT NULL
        )
        AND NEW IS NOT DISTINCT FROM audit_event_redacted(OLD, erasing)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Audit events are never changed or deleted.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
REFUSE_ALL = """
CREATE OR REPLACE FUNCTION audit_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Audit events are never changed or deleted.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP FUNCTION audit_event_redacted(audit_auditevent, jsonb);
DROP FUNCTION audit_json_blanked(jsonb, text);
DROP FUNCTION audit_json_redacted(jsonb, text[], text[], text);
DROP FUNCTION audit_text_redacted(text, text[], text[], text);
DROP FUNCTION audit_words_replaced(text, text[], text, text, text);
"""


class Migration(migrations.Migration):
    """Teaches the trigger its one exception."""

    dependencies = [("accounts", "0003_people"), ("audit", "0002_events_are_final")]

    operations = [migrations.RunSQL(FUNCTIONS, reverse_sql=REFUSE_ALL)]
