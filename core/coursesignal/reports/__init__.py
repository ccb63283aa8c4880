"""The shapes of the reports: what ``/api/analytics`` answers and what ``ctx.reports`` hands to plugins.

Words, the same in every report:

charged
    money of sales, renewals and instalments; ``refunded`` is refunds and disputes less disputes that were won (so a month
    in which an old dispute is won can show a negative one); ``net`` is charged less refunded.
in the period
    money counts on the day it moved: a refund counts on the day of the refund, whenever the sale was.
purchases
    distinct purchases charged more than zero in the period; ``students`` the distinct people (else e-mail addresses) behind
    them.
visitors
    distinct visitors who began a session in the period; of one source: who had a touch of it in the period.
rates
    percent with two decimals. Null wherever there is nothing to divide by. A conversion rate is purchases by visitors *of the
    same period*, so it passes 100 when people buy who visited earlier.

Amounts are integers in minor units of the report's currency, which is the tenant's. Other currencies are listed beside it and
never added to it.
"""

from __future__ import annotations

from coursesignal.reports.base import (
    CurrencyTotal,
    Insight,
    Report,
    ReportPeriod,
)
from coursesignal.reports.behaviour import (
    ContentReport,
    ContentRow,
    ContentTotals,
    CoverageExample,
    CoverageReport,
    CoverageRow,
    CoverageStatus,
    CoverageSum,
    FunnelReport,
    FunnelRow,
    FunnelSteps,
    JourneyBucket,
    JourneyLengths,
    JourneyPath,
    JourneysReport,
    MoneySum,
    PurchaseSum,
    TouchCount,
)
from coursesignal.reports.claims import (
    ClaimKinds,
    SelfReportedReport,
    SelfReportedRow,
)
from coursesignal.reports.comparison import (
    ModelComparison,
    ModelComparisonRow,
)
from coursesignal.reports.goals import (
    GoalKind,
    GoalReport,
    GoalRow,
    GoalSource,
)
from coursesignal.reports.plans import (
    PlanRow,
    PlansReport,
    PlanTotals,
    ProductRow,
    ProductSource,
    ProductsReport,
    ProductTotals,
    Risk,
    Standing,
)
from coursesignal.reports.purchases import (
    ChargeLine,
    Identifier,
    ItemLine,
    ModelCredits,
    PathTouch,
    PersonLine,
    PurchaseClaim,
    PurchaseDetail,
    PurchaseLine,
    PurchaseStatus,
    RecentPurchases,
    TouchCredit,
)
from coursesignal.reports.reading import Reports
from coursesignal.reports.revenue import (
    DailyReport,
    Day,
    DrilldownReport,
    DrilldownRow,
    SourceRow,
    SourcesReport,
    Summary,
    Totals,
    Trends,
    Unattributed,
)
from coursesignal.reports.setup import (
    ConnectionLine,
    SetupState,
)
from coursesignal.reports.students import (
    Buyers,
    BuyersOfInterval,
    BuyersOfSource,
    CohortCell,
    CohortReport,
    CohortRow,
    FirstTouch,
    LifetimeAfter,
    LifetimeFigures,
    LifetimeReport,
    LifetimeRow,
    NewAndReturning,
    NewReturningReport,
    StudentRow,
    StudentsReport,
    StudentTotals,
)

__all__ = [
    "Buyers",
    "BuyersOfInterval",
    "BuyersOfSource",
    "ChargeLine",
    "ClaimKinds",
    "CohortCell",
    "CohortReport",
    "CohortRow",
    "ConnectionLine",
    "ContentReport",
    "ContentRow",
    "ContentTotals",
    "CoverageExample",
    "CoverageReport",
    "CoverageRow",
    "CoverageStatus",
    "CoverageSum",
    "CurrencyTotal",
    "DailyReport",
    "Day",
    "DrilldownReport",
    "DrilldownRow",
    "FirstTouch",
    "FunnelReport",
    "FunnelRow",
    "FunnelSteps",
    "GoalKind",
    "GoalReport",
    "GoalRow",
    "GoalSource",
    "Identifier",
    "Insight",
    "ItemLine",
    "JourneyBucket",
    "JourneyLengths",
    "JourneyPath",
    "JourneysReport",
    "LifetimeAfter",
    "LifetimeFigures",
    "LifetimeReport",
    "LifetimeRow",
    "ModelComparison",
    "ModelComparisonRow",
    "ModelCredits",
    "MoneySum",
    "NewAndReturning",
    "NewReturningReport",
    "PathTouch",
    "PersonLine",
    "PlanRow",
    "PlanTotals",
    "PlansReport",
    "ProductRow",
    "ProductSource",
    "ProductTotals",
    "ProductsReport",
    "PurchaseClaim",
    "PurchaseDetail",
    "PurchaseLine",
    "PurchaseStatus",
    "PurchaseSum",
    "RecentPurchases",
    "Report",
    "ReportPeriod",
    "Reports",
    "Risk",
    "SelfReportedReport",
    "SelfReportedRow",
    "SetupState",
    "SourceRow",
    "SourcesReport",
    "Standing",
    "StudentRow",
    "StudentTotals",
    "StudentsReport",
    "Summary",
    "Totals",
    "TouchCount",
    "TouchCredit",
    "Trends",
    "Unattributed",
]
