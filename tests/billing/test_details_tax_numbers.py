"""Tax numbers: told right from wrong without a network, and printed as their country does.

The numbers are those that python-stdnum and the tax offices show as examples.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import services as billing
from billing.services.tax_ids import EU, compact, printed, tax_id_types

TYPES = tax_id_types()
# One right number of each kind, as it is typed, as it is kept, and as it is printed.
EXAMPLES = {
    "ad_nrt": ("U-132950-X", "U132950X", "U-132950-X"),
    "al_tin": ("AL J 91402501 L", "J91402501L", "J91402501L"),
    "ar_cuit": ("20-05536168-2", "20055361682", "20-05536168-2"),
    "au_abn": ("83 914 571 673", "83914571673", "83 914 571 673"),
    "au_acn": ("004 085 616", "004085616", "004 085 616"),
    "az_tin": ("140 155 5071", "1401555071", "1401555071"),
    "bg_uic": ("175074752", "175074752", "175074752"),
    "br_cnpj": ("16.727.230/0001-97", "16727230000197", "16.727.230/0001-97"),
    "br_cpf": ("390.533.447-05", "39053344705", "390.533.447-05"),
    "by_tin": ("200988541", "200988541", "200988541"),
    "ca_bn": ("12302 6635 RC 0001", "123026635RC0001", "123026635RC0001"),
    "ca_gst_hst": ("12302 6635 RT 0001", "123026635RT0001", "123026635RT0001"),
    "ch_uid": ("CHE-100.155.212", "CHE100155212", "CHE-100.155.212"),
    "ch_vat": ("che 107 787 577 iva", "CHE107787577IVA", "CHE-107.787.577 IVA"),
    "cl_tin": ("76086428-5", "760864285", "76.086.428-5"),
    "cn_tin": ("91110000600037341L", "91110000600037341L", "91110000600037341L"),
    "co_nit": ("213.123.432-1", "2131234321", "213.123.432-1"),
    "cr_tin": ("3-101-999999", "3101999999", "3-101-999999"),
    "cz_dic": ("CZ 25123891", "25123891", "25123891"),
    "do_rcn": ("1-01-85004-3", "101850043", "1-01-85004-3"),
    "ec_ruc": ("1792060346-001", "1792060346001", "1792060346001"),
    "eg_tin": ("100-531-385", "100531385", "100-531-385"),
    "es_cif": ("J99216582", "J99216582", "J99216582"),
    "eu_oss_vat": ("EU 372022452", "EU372022452", "EU372022452"),
    "eu_vat": ("DE 136 695 976", "DE136695976", "DE136695976"),
    "fo_vat": ("623857", "623857", "623857"),
    "fr_siren": ("404833048", "404833048", "404 833 048"),
    "fr_siret": ("73282932000074", "73282932000074", "732 829 320 00074"),
    "gb_vat": ("gb 980 7806 84", "GB980780684", "GB 980 7806 84"),
    "gh_tin": ("C0000803561", "C0000803561", "C0000803561"),
    "gn_nif": ("693770885", "693770885", "693-770-885"),
    "hr_oib": ("HR 33392005961", "33392005961", "33392005961"),
    "hu_tin": ("HU-12892312", "12892312", "12892312"),
    "id_npwp": ("01.312.166.0-091.000", "013121660091000", "01.312.166.0-091.000"),
    "il_vat": ("516179157", "516179157", "516179157"),
    "in_gst": ("27AAPFU0939F1ZV", "27AAPFU0939F1ZV", "27AAPFU0939F1ZV"),
    "is_kt": ("450401-3150", "4504013150", "450401-3150"),
    "is_vat": ("IS 00621", "00621", "00621"),
    "it_cf": ("RCCMNL83S18D969H", "RCCMNL83S18D969H", "RCCMNL83S18D969H"),
    "jp_cn": ("5835678256246", "5835678256246", "5-8356-7825-6246"),
    "jp_trn": ("T5835678256246", "T5835678256246", "T 5-8356-7825-6246"),
    "ke_pin": ("P051365947M", "P051365947M", "P051365947M"),
    "kr_brn": ("116-82-00276", "1168200276", "116-82-00276"),
    "li_uid": ("CHE-100.155.212", "CHE100155212", "CHE-100.155.212"),
    "ma_vat": ("001561191000066", "001561191000066", "001561191000066"),
    "md_cf": ("1008600038413", "1008600038413", "1008600038413"),
    "me_pib": ("02655284", "02655284", "02655284"),
    "mk_vat": ("4030000375897", "4030000375897", "4030000375897"),
    "mx_rfc": ("VACE-460910-SX6", "VACE460910SX6", "VACE 460910 SX6"),
    "mz_nuit": ("400339910", "400339910", "400 339 910"),
    "no_vat": ("995525828MVA", "995525828MVA", "NO 995 525 828 MVA"),
    "nz_gst": ("4909185-0", "49091850", "49-091-850"),
    "pe_ruc": ("20512333797", "20512333797", "20512333797"),
    "pl_nip": ("PL 8567346215", "8567346215", "856-734-62-15"),
    "pt_nif": ("PT 501 964 843", "501964843", "501964843"),
    "py_ruc": ("80028061-0", "800280610", "80028061-0"),
    "ro_tin": ("RO 185 472 90", "RO18547290", "RO18547290"),
    "rs_pib": ("101134702", "101134702", "101134702"),
    "ru_inn": ("123456789047", "123456789047", "123456789047"),
    "sg_uen": ("00192200M", "00192200M", "00192200M"),
    "si_tin": ("SI 5022 3054", "50223054", "50223054"),
    "sm_coe": ("51", "51", "51"),
    "sn_ninea": ("306 7221", "3067221", "3067221"),
    "sv_nit": ("0614-050707-104-8", "06140507071048", "0614-050707-104-8"),
    "th_vat": ("1-2345-45678-78-1", "1234545678781", "1-2345-45678-78-1"),
    "tr_tin": ("4540536920", "4540536920", "4540536920"),
    "tw_vat": ("00501503", "00501503", "00501503"),
    "us_ein": ("91-1144442", "911144442", "91-1144442"),
    "uy_ruc": ("21-100342-001-7", "211003420017", "21-100342-001-7"),
    "ve_rif": ("V-11470283-4", "V114702834", "V114702834"),
    "vn_tin": ("0100233488", "0100233488", "0100233488"),
}


def check(code: str, typed: str, country: str = "DE") -> str:
    return compact(TYPES[code], typed, country=country)


def test_every_kind_that_is_offered_has_an_example_here() -> None:
    assert set(EXAMPLES) == set(TYPES)


@pytest.mark.parametrize("code", EXAMPLES)
def test_a_right_number_is_kept_compact_and_printed_as_its_country_does(code: str) -> None:
    typed, kept, shown = EXAMPLES[code]

    assert check(code, typed) == kept
    assert printed(TYPES[code], kept) == shown
    # What a form shows can be sent again, and what is kept can be checked again.
    assert check(code, shown) == check(code, kept) == kept


def test_every_kind_names_a_country_that_an_address_can_be_in() -> None:
    assert {kind.country for kind in TYPES.values()} <= {EU, *billing.countries()}
    labels = [kind.label for kind in TYPES.values()]
    assert len(set(labels)) == len(labels)
    assert "United States: EIN" in labels


@pytest.mark.parametrize(
    ("code", "typed", "reason"),
    [
        ("fr_siren", "40483304", "it has too many or too few characters"),
        ("us_ein", "91-114444A", "it is not written like one"),
        ("us_ein", "07-1144442", "a part of it does not exist"),
        ("gb_vat", "GB123456789", "a character is mistyped"),
        ("au_abn", "12345678912", "a character is mistyped"),
        ("ca_gst_hst", "12302 6635 RC 0001", "there is no RT in it"),
        ("ch_vat", "CHE-107.787.577", "it has too many or too few characters"),
        ("eu_vat", "DE123456789", "a character is mistyped"),
        ("eu_vat", "", "it is not written like one"),
    ],
)
def test_a_wrong_number_is_refused_with_the_reason(code: str, typed: str, reason: str) -> None:
    with pytest.raises(billing.TaxNumberError) as refused:
        check(code, typed)

    assert str(refused.value) == f"{typed} does not fit “{TYPES[code].label}”: {reason}."


@pytest.mark.parametrize(
    ("typed", "country", "kept"),
    [
        ("136695976", "DE", "DE136695976"),  # As people write it at home.
        ("FR 40 303 265 045", "FR", "FR40303265045"),
        ("B58378431", "ES", "ESB58378431"),
        ("EL 094259216", "GR", "EL094259216"),
        ("GR 094259216", "GR", "EL094259216"),
        ("XI 980780684", "GB", "XI980780684"),
    ],
)
def test_a_vat_number_of_the_eu_has_the_letters_of_the_country_of_the_address(
    typed: str, country: str, kept: str
) -> None:
    assert check("eu_vat", typed, country) == kept


@pytest.mark.parametrize("country", ["FR", "US", "GB"])
def test_a_vat_number_of_the_eu_is_refused_where_it_does_not_fit_the_address(country: str) -> None:
    with pytest.raises(
        billing.TaxNumberError, match=f"the address is in {billing.countries()[country]}"
    ):
        check("eu_vat", "DE136695976", country)


@given(st.sampled_from(sorted(TYPES)), st.text(max_size=40), st.sampled_from(["DE", "US", "GR"]))
def test_whatever_is_typed_is_kept_whole_or_refused(code: str, typed: str, country: str) -> None:
    try:
        kept = check(code, typed, country)
    except billing.TaxNumberError:
        return

    assert 0 < len(kept) <= 40
    assert check(code, kept, country) == kept


@given(st.sampled_from(sorted(EXAMPLES)), st.integers(0, 30), st.sampled_from("0189AZ٣³ß\u200b"))
def test_one_other_character_never_breaks_the_check(code: str, place: int, letter: str) -> None:
    typed, _, _ = EXAMPLES[code]
    mistyped = typed[:place] + letter + typed[place + 1 :]
    try:
        kept = check(code, mistyped)
    except billing.TaxNumberError:
        return

    assert check(code, printed(TYPES[code], kept)) == kept
    assert kept.isascii()
