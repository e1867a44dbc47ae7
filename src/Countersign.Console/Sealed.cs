// Razor makes its classes open; none of ours is meant to be built upon.
namespace Countersign.Pages.Layout
{
    public sealed partial class Shell;
    public sealed partial class Until;
    public sealed partial class Ago;
    public sealed partial class FormToken;
    public sealed partial class Message;
}

namespace Countersign.Pages.Card
{
    public sealed partial class ReviewPage;
    public sealed partial class ConfirmPage;
    public sealed partial class StatePill;
    public sealed partial class Outcome;
    public sealed partial class ParameterTable;
    public sealed partial class RecordLine;
    public sealed partial class Answers;
    public sealed partial class DecideBar;
    public sealed partial class GrantFields;
}

namespace Countersign.Pages.Inbox
{
    public sealed partial class InboxPage;
    public sealed partial class GrantsPage;
    public sealed partial class ReviewCard;
}

namespace Countersign.Pages.People
{
    public sealed partial class LoginPage;
    public sealed partial class LinkPage;
    public sealed partial class MePage;
    public sealed partial class LinkAccountPage;
    public sealed partial class AgentsPage;
    public sealed partial class TargetsPage;
}

namespace Countersign.Pages.Activity
{
    public sealed partial class ActivityPage;
    public sealed partial class StoryPage;
}

namespace Countersign.Pages.Glass
{
    public sealed partial class BreakPage;
    public sealed partial class GlassNotice;
    public sealed partial class GlassWaits;
    public sealed partial class AftermathsPage;
}

namespace Countersign.Pages.Away
{
    public sealed partial class AwayPage;
}

namespace Countersign.Pages.Policies
{
    public sealed partial class PolicyErrors;
    public sealed partial class PolicyEditor;
    public sealed partial class DecisionPanel;
    public sealed partial class TestsPanel;
    public sealed partial class PlaygroundPage;
    public sealed partial class ReplayPage;
    public sealed partial class Change;
    public sealed partial class PoliciesPage;
}
