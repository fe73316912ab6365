"""Villages and agencies of a district that looks like a real one, for the page's tests."""

import random

from tests.collector.page.kit import Cut, Site

DISTRICTS = {
    "Kec. Cibadak": (-6.89, 106.79),
    "Kec. Cicurug": (-6.78, 106.78),
    "Kec. Parungkuda": (-6.84, 106.76),
    "Kec. Palabuhanratu": (-6.99, 106.55),
    "Kec. Cisolok": (-6.94, 106.44),
    "Kec. Jampang Tengah": (-7.06, 106.83),
    "Kec. Nyalindung": (-7.03, 106.95),
    "Kec. Sagaranten": (-7.21, 106.88),
    "Kec. Surade": (-7.34, 106.57),
    "Kec. Ciracap": (-7.33, 106.42),
    "Kota Sukabumi": (-6.925, 106.93),
}
VILLAGES = (
    "Sukamaju", "Sukajadi", "Mekarsari", "Tanjungsari", "Karangtengah", "Pasirhalang", "Cikujang",
    "Bojongsari", "Neglasari", "Sirnarasa", "Girimukti", "Cipeundeuy", "Margaluyu", "Cimahi",
    "Warnasari", "Babakan", "Sindangraja", "Cihamerang", "Kebonpedes", "Langensari",
)  # fmt: skip
AGENCIES = (
    "Dinas Kesehatan",
    "Dinas Pendidikan",
    "Disdukcapil",
    "RSUD Sekarwangi",
    "Bappeda",
    "BPBD",
)
PROVIDERS = ("Penyedia A", "Penyedia B", "Penyedia C")


def district(history_s: int = 0, villages: int = 5) -> tuple[Site, ...]:
    """Some sixty sites; each with so much of a past."""
    chance = random.Random(8)
    sites = []
    for where, (latitude, longitude) in DISTRICTS.items():
        town = where.startswith("Kota")
        names = AGENCIES if town else chance.sample(VILLAGES, villages)
        for name in names:
            far = chance.random()
            medium, rtt_ms, loss = (
                ("fibre", 2 + 6 * far, 0.0)
                if town or far < 0.55
                else ("radio", 12 + 14 * far, 0.002)
                if far < 0.9
                else ("VSAT", 560 + 60 * far, 0.006)
            )
            kind, plain = "opd" if town else "desa", name.lower().replace(" ", "-")
            node = f"{kind}-{plain}-{where[-4:].strip().lower()}"
            cuts = tuple(
                Cut(chance.randrange(3600, max(3601, history_s)), chance.randrange(40, 900))
                for _ in range(chance.choice((0, 0, 0, 1, 1, 2)))
            )
            sites.append(
                Site(
                    node=node,
                    name=name if town else f"Desa {name}",
                    kind=kind,
                    district=where,
                    provider=chance.choice(PROVIDERS),
                    medium=medium,
                    pop=f"POP-{1 + len(sites) % 3}",
                    latitude=latitude + chance.uniform(-0.035, 0.035),
                    longitude=longitude + chance.uniform(-0.045, 0.045),
                    rtt_ms=rtt_ms,
                    loss_up=loss,
                    loss_down=loss / 2,
                    cuts=cuts if history_s else (),
                    busy_evening=chance.random() < 0.3,
                    history_s=history_s,
                    alive=chance.random() > 0.05,
                )
            )
    return tuple(sites)
