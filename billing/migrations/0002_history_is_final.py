"""Make the database itself refuse to change or delete a ledger entry, a charge or an invoice.

The code has no such path; this holds for a shell, the admin and a mistake too. A correction is a
new row. TRUNCATE is not refused: tests empty tables with it, and who may run it may drop the
trigger as well. What an operator changed so is for verify_ledger to find.
"""

from django.db import migrations

FINAL = {
    "billing_ledgerentry": "Ledger entries",
    "billing_charge": "Charges",
    "billing_invoice": "Invoices",
}

FUNCTION = """
CREATE FUNCTION billing_row_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are never changed or deleted.', TG_ARGV[0]
        USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
TRIGGER = """
CREATE TRIGGER billing_row_is_final BEFORE UPDATE OR DELETE ON {}
    FOR EACH ROW EXECUTE FUNCTION billing_row_is_final('{}')
"""


class Migration(migrations.Migration):
    """Adds one function, and a trigger to each table."""

    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTION, reverse_sql="DROP FUNCTION billing_row_is_final()"),
        *(
            migrations.RunSQL(
                TRIGGER.format(table, rows),
                reverse_sql=f"DROP TRIGGER billing_row_is_final ON {table}",
            )
            for table, rows in FINAL.items()
        ),
    ]
