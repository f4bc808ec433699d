"""Make the database itself refuse to change or delete an audit event.

The code has no such path; this holds for a shell, the admin and a mistake too. TRUNCATE is not
refused: tests empty tables with it, and who may run it may drop the trigger as well. That an
operator did so is for the seal to show, which needs no help from the database.
"""

from django.db import migrations

REFUSE = """
CREATE FUNCTION audit_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Audit events are never changed or deleted.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_event_is_final BEFORE UPDATE OR DELETE ON audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION audit_event_is_final();
"""
ALLOW = """
DROP TRIGGER audit_event_is_final ON audit_auditevent;
DROP FUNCTION audit_event_is_final();
"""


class Migration(migrations.Migration):
    """Adds the trigger."""

    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE, reverse_sql=ALLOW)]
