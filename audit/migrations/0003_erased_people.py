"""Let the database replace who an erased person was in the events that name them, and no more.

An event stays final. The one change that the trigger admits is what `audit_event_redacted` makes
of the row, and only in the very transaction that erased the person and closed their personal team:
nothing of an event changes before it or ever after. Names are replaced in events by the person,
about the person, and in the log of that team; in all others nothing but e-mail addresses is.

What the trigger does not know is which words those are: the rows that held them are gone by then,
so the transaction that erases says so (`audit.services.redact`). And whoever may write to the
tables of accounts, as the console itself may, can erase somebody to be let in here. It keeps code
that errs, a shell and the admin from touching the log. It does not stop an operator who means to:
who may drop the trigger needs no exception in it. That is for a seal to show.
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

CREATE FUNCTION audit_pseudonym(person text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'Deleted account ' || left(person, 8)
$$;

-- Whether a row that one can see was written by this transaction, whichever savepoint it was in:
-- of all that are still running, nobody sees the rows of another.
CREATE FUNCTION audit_is_written_now(writer xid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(pg_xact_status(
        greatest(pg_current_xact_id()::text::bigint - age(writer), 3)::text::xid8
    ) = 'in progress', false)
$$;

-- Whether what a caller calls an erasure is one, and happens now.
CREATE FUNCTION audit_is_erasing(erasing jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM accounts_user AS person
        WHERE person.id = (erasing ->> 'person')::uuid
            AND person.erased_at IS NOT NULL AND audit_is_written_now(person.xmin)
    ) AND EXISTS (
        -- Nobody is in a team any more that was closed. Its name says whose it was.
        SELECT FROM accounts_team AS team
        WHERE team.id = (erasing ->> 'team')::uuid
            AND team.is_personal AND team.closed_at IS NOT NULL
            AND team.name = audit_pseudonym(erasing ->> 'person')
            AND audit_is_written_now(team.xmin)
    ) AND NOT EXISTS (
        SELECT FROM jsonb_array_elements_text(
            (erasing -> 'addresses') || (erasing -> 'own_addresses')
        ) AS address
        WHERE position('@' IN address) = 0
    )
$$;

CREATE FUNCTION audit_event_redacted(
    event audit_auditevent, erasing jsonb
) RETURNS audit_auditevent LANGUAGE plpgsql STABLE AS $$
DECLARE
    person text := erasing ->> 'person';
    pseudonym text := audit_pseudonym(person);
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
    IF TG_OP = 'UPDATE' AND erasing IS NOT NULL AND audit_is_erasing(erasing)
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
DROP FUNCTION audit_is_erasing(jsonb);
DROP FUNCTION audit_is_written_now(xid);
DROP FUNCTION audit_pseudonym(text);
DROP FUNCTION audit_json_blanked(jsonb, text);
DROP FUNCTION audit_json_redacted(jsonb, text[], text[], text);
DROP FUNCTION audit_text_redacted(text, text[], text[], text);
DROP FUNCTION audit_words_replaced(text, text[], text, text, text);
"""


class Migration(migrations.Migration):
    """Teaches the trigger its one exception."""

    dependencies = [("accounts", "0003_people"), ("audit", "0002_events_are_final")]

    operations = [migrations.RunSQL(FUNCTIONS, reverse_sql=REFUSE_ALL)]
