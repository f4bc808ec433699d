"""Tax numbers: which kinds there are, whether one is written right, and how it is printed.

What is checked is the number's own form, by python-stdnum and without a network: its length, its
parts, its check digits. Whether an authority has given it to this customer is not.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Final

from stdnum.exceptions import (
    InvalidChecksum,
    InvalidComponent,
    InvalidFormat,
    InvalidLength,
    ValidationError,
)
from stdnum.util import clean

from billing.services.countries import countries

EU: Final = "EU"
EU_VAT: Final = "eu_vat"
# Whose numbers begin with other letters than the country's.
VAT_PREFIXES: Final = {"GR": "EL", "GB": "XI"}

REASONS: Final = {
    InvalidLength: "it has too many or too few characters",
    InvalidFormat: "it is not written like one",
    InvalidChecksum: "a character is mistyped",
    InvalidComponent: "a part of it does not exist",
}


class TaxNumberError(Exception):
    """What was typed is not a number of the kind that was chosen."""

    def __init__(self, number: str, kind: "TaxIdType", reason: str) -> None:
        super().__init__(f"{number} does not fit “{kind.label}”: {reason}.")


@dataclass(frozen=True, slots=True)
class TaxIdType:
    """One kind of tax number, by the name that Stripe has for it."""

    code: str
    country: str  # ISO 3166-1, or EU.
    name: str
    module: str  # Of stdnum.
    prefix: str = ""  # Letters in front of what the module knows.
    contains: str = ""  # Letters that tell it from its siblings in the module.

    @property
    def place(self) -> str:
        return "European Union" if self.country == EU else countries()[self.country]

    @property
    def label(self) -> str:
        return f"{self.place}: {self.name}"

    @property
    def rules(self) -> ModuleType:
        return import_module(f"stdnum.{self.module}")


# Kinds of which stdnum knows no rules are left out: a number that nobody can check is no better
# than a line of the address.
_TYPES: Final = (
    TaxIdType("ad_nrt", "AD", "NRT", "ad.nrt"),
    TaxIdType("al_tin", "AL", "NIPT", "al.nipt"),
    TaxIdType("ar_cuit", "AR", "CUIT", "ar.cuit"),
    TaxIdType("au_abn", "AU", "Business number (ABN)", "au.abn"),
    TaxIdType("au_acn", "AU", "Company number (ACN)", "au.acn"),
    TaxIdType("az_tin", "AZ", "VÖEN", "az.voen"),
    TaxIdType("bg_uic", "BG", "Unified identification code", "bg.vat"),
    TaxIdType("br_cnpj", "BR", "CNPJ", "br.cnpj"),
    TaxIdType("br_cpf", "BR", "CPF", "br.cpf"),
    TaxIdType("by_tin", "BY", "UNP", "by.unp"),
    TaxIdType("ca_bn", "CA", "Business number (BN)", "ca.bn"),
    TaxIdType("ca_gst_hst", "CA", "GST/HST number", "ca.bn", contains="RT"),
    TaxIdType("ch_uid", "CH", "Company number (UID)", "ch.uid"),
    TaxIdType("ch_vat", "CH", "VAT number (MWST, TVA, IVA)", "ch.vat"),
    TaxIdType("cl_tin", "CL", "RUT", "cl.rut"),
    TaxIdType("cn_tin", "CN", "Unified social credit code", "cn.uscc"),
    TaxIdType("co_nit", "CO", "NIT", "co.nit"),
    TaxIdType("cr_tin", "CR", "Cédula jurídica", "cr.cpj"),
    TaxIdType("cz_dic", "CZ", "DIČ", "cz.dic"),
    TaxIdType("do_rcn", "DO", "RNC", "do.rnc"),
    TaxIdType("ec_ruc", "EC", "RUC", "ec.ruc"),
    TaxIdType("eg_tin", "EG", "Tax registration number", "eg.tn"),
    TaxIdType("es_cif", "ES", "CIF", "es.cif"),
    TaxIdType("eu_oss_vat", EU, "One Stop Shop VAT number", "eu.oss"),
    TaxIdType(EU_VAT, EU, "VAT number", "eu.vat"),
    TaxIdType("fo_vat", "FO", "V-number", "fo.vn"),
    TaxIdType("fr_siren", "FR", "SIREN", "fr.siren"),
    TaxIdType("fr_siret", "FR", "SIRET", "fr.siret"),
    TaxIdType("gb_vat", "GB", "VAT number", "gb.vat", prefix="GB"),
    TaxIdType("gh_tin", "GH", "TIN", "gh.tin"),
    TaxIdType("gn_nif", "GN", "NIFp", "gn.nifp"),
    TaxIdType("hr_oib", "HR", "OIB", "hr.oib"),
    TaxIdType("hu_tin", "HU", "Tax number (adószám)", "hu.anum"),
    TaxIdType("id_npwp", "ID", "NPWP", "id.npwp"),
    TaxIdType("il_vat", "IL", "VAT number", "il.hp"),
    TaxIdType("in_gst", "IN", "GSTIN", "in_.gstin"),
    TaxIdType("is_kt", "IS", "Kennitala", "is_.kennitala"),
    TaxIdType("is_vat", "IS", "VAT number (VSK)", "is_.vsk"),
    TaxIdType("it_cf", "IT", "Codice fiscale", "it.codicefiscale"),
    TaxIdType("jp_cn", "JP", "Corporate number", "jp.cn"),
    TaxIdType("jp_trn", "JP", "Qualified invoice issuer number", "jp.cn", prefix="T"),
    TaxIdType("ke_pin", "KE", "PIN", "ke.pin"),
    TaxIdType("kr_brn", "KR", "Business registration number", "kr.brn"),
    TaxIdType("li_uid", "LI", "Company number (UID)", "ch.uid"),
    TaxIdType("ma_vat", "MA", "ICE", "ma.ice"),
    TaxIdType("md_cf", "MD", "IDNO", "md.idno"),
    TaxIdType("me_pib", "ME", "PIB", "me.pib"),
    TaxIdType("mk_vat", "MK", "EDB", "mk.edb"),
    TaxIdType("mx_rfc", "MX", "RFC", "mx.rfc"),
    TaxIdType("mz_nuit", "MZ", "NUIT", "mz.nuit"),
    TaxIdType("no_vat", "NO", "VAT number (MVA)", "no.mva"),
    TaxIdType("nz_gst", "NZ", "GST number", "nz.ird"),
    TaxIdType("pe_ruc", "PE", "RUC", "pe.ruc"),
    TaxIdType("pl_nip", "PL", "NIP", "pl.nip"),
    TaxIdType("pt_nif", "PT", "NIF", "pt.nif"),
    TaxIdType("py_ruc", "PY", "RUC", "py.ruc"),
    TaxIdType("ro_tin", "RO", "CIF", "ro.cf"),
    TaxIdType("rs_pib", "RS", "PIB", "rs.pib"),
    TaxIdType("ru_inn", "RU", "INN", "ru.inn"),
    TaxIdType("sg_uen", "SG", "UEN", "sg.uen"),
    TaxIdType("si_tin", "SI", "Tax number", "si.ddv"),
    TaxIdType("sm_coe", "SM", "COE", "sm.coe"),
    TaxIdType("sn_ninea", "SN", "NINEA", "sn.ninea"),
    TaxIdType("sv_nit", "SV", "NIT", "sv.nit"),
    TaxIdType("th_vat", "TH", "VAT number", "th.tin"),
    TaxIdType("tr_tin", "TR", "VKN", "tr.vkn"),
    TaxIdType("tw_vat", "TW", "Unified business number", "tw.ubn"),
    TaxIdType("us_ein", "US", "EIN", "us.ein"),
    TaxIdType("uy_ruc", "UY", "RUT", "uy.rut"),
    TaxIdType("ve_rif", "VE", "RIF", "ve.rif"),
    TaxIdType("vn_tin", "VN", "Tax code (MST)", "vn.mst"),
)


@cache
def tax_id_types() -> dict[str, TaxIdType]:
    """List the kinds of tax numbers by their codes, in the order of their labels."""
    return {kind.code: kind for kind in sorted(_TYPES, key=lambda kind: kind.label.casefold())}


def compact(kind: TaxIdType, typed: str, *, country: str) -> str:
    """Check a number and return it without spaces, dots and the like.

    `country` is that of the address: a VAT number of the EU has to be from there.
    Raises TaxNumberError.
    """
    number = typed.strip().upper().removeprefix(kind.prefix)
    try:
        if kind.code == EU_VAT:
            return _vat_of_the_eu(kind, number, country)
        found = kind.prefix + str(kind.rules.validate(number))
    except ValidationError as error:
        raise TaxNumberError(typed, kind, REASONS.get(type(error), "it is not one")) from error
    if kind.contains not in found:
        raise TaxNumberError(typed, kind, f"there is no {kind.contains} in it")
    return found


def _vat_of_the_eu(kind: TaxIdType, typed: str, country: str) -> str:
    of_address = VAT_PREFIXES.get(country, country)
    number = clean(typed, " -./").strip()
    if not number[:2].isalpha():
        number = of_address + number  # As people write it at home.
    # Greece's are sometimes written with the letters of the country.
    number = VAT_PREFIXES["GR"] + number[2:] if number.startswith("GR") else number
    found = str(kind.rules.validate(number))
    if found[:2] != of_address:
        reason = f"the address is in {countries()[country]}, and the number is not from there"
        raise TaxNumberError(typed, kind, reason)
    return found


def printed(kind: TaxIdType, number: str) -> str:
    """Write a checked number as its country writes it."""
    form = getattr(kind.rules, "format", None)
    if form is None:
        return number
    shown = str(form(number.removeprefix(kind.prefix)))
    return f"{kind.prefix} {shown}" if kind.prefix else shown
