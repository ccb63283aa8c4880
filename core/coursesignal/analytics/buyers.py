"""Students and their money, as pieces of SQL that several reports are made of.

All of them look at one currency: a student's purchases in another are as if somebody else had made them (with a rates table the
charges that are read are converted first, and so are of one currency). Values: $1 tenant, $2 currency, $3 model; a query without
ORIGINS names $3 all the same, so that its values are counted alike with and without.
"""

from __future__ import annotations

from coursesignal.analytics.sales import SALES

STUDENT = "coalesce(p.person_id, md5(lower(p.email))::uuid, p.id)"
"""Who is behind ``purchases p``: the person, else the e-mail address, else nobody but this purchase's own buyer."""

MONEY = f"""
    money as materialized (
        select {STUDENT} as student, p.person_id, c.purchase_id, c.id as charge_id, c.occurred_at as at,
               c.amount_minor as amount, {SALES} as is_sale
        from charges c join purchases p on p.tenant_id = $1 and p.id = c.purchase_id
        where c.tenant_id = $1 and c.currency = $2
    )"""  # noqa: S608 – of constants
"""Every charge and refund, signed, with its student."""

FIRSTS = """
    firsts as materialized (
        select distinct on (student) student, at as first_at, purchase_id, charge_id
        from money where is_sale and amount > 0
        order by student, at, purchase_id, charge_id
    )"""
"""The first paid charge of every student, after MONEY."""

ORIGINS = f"""
    credited_first as materialized (
        select {STUDENT} as student, k.touch_id, k.weight
        from charges c
        join purchases p on p.tenant_id = $1 and p.id = c.purchase_id
        join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $3
        where c.tenant_id = $1 and (c.id in (select charge_id from firsts)) is true
        order by k.touch_id
    ),
    origins as materialized (
        select distinct on (o.student) o.student, t.source, t.channel, t.campaign
        from credited_first o join touches t on t.tenant_id = $1 and t.id = o.touch_id
        order by o.student, o.weight desc, t.occurred_at desc, t.id desc
    )"""  # noqa: S608 – of constants
"""Where the model says each student's first purchase came from, after FIRSTS: the touch with the most credit, the latest of
equals. Students whose first purchase has no credit are not in it.
"""

OF_ORIGIN = "(student in (select student from origins where {column} = ${number})) is true"
"""Students whose first purchase came from there, after ORIGINS.

Looked up in a hash and not joined, as nothing here is joined that is itself computed: the planner knows nothing of such rows, or
of a tenant newer than its statistics, expects one and compares everybody with everybody.
"""

FOLLOWED = """
    followed as (
        select money.*, min(at) filter (where is_sale and amount > 0) over (partition by student) as first_at from money
    )"""
"""Every charge and refund with the time of its student's first paid charge, after MONEY."""
