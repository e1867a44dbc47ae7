namespace Countersign.PgWire;

/// <summary>First byte of each message that a client sends (PostgreSQL documentation §54.7, "F").</summary>
public static class FrontendTag
{
    /// <summary>Bind.</summary>
    public const byte Bind = (byte)'B';
    /// <summary>Close.</summary>
    public const byte Close = (byte)'C';
    /// <summary>Describe.</summary>
    public const byte Describe = (byte)'D';
    /// <summary>Execute.</summary>
    public const byte Execute = (byte)'E';
    /// <summary>FunctionCall.</summary>
    public const byte FunctionCall = (byte)'F';
    /// <summary>Flush.</summary>
    public const byte Flush = (byte)'H';
    /// <summary>Parse.</summary>
    public const byte Parse = (byte)'P';
    /// <summary>Query.</summary>
    public const byte Query = (byte)'Q';
    /// <summary>Sync.</summary>
    public const byte Sync = (byte)'S';
    /// <summary>Terminate.</summary>
    public const byte Terminate = (byte)'X';
    /// <summary>CopyDone.</summary>
    public const byte CopyDone = (byte)'c';
    /// <summary>CopyData.</summary>
    public const byte CopyData = (byte)'d';
    /// <summary>CopyFail.</summary>
    public const byte CopyFail = (byte)'f';
    /// <summary>PasswordMessage, SASLInitialResponse and SASLResponse: told apart by the state of the exchange only.</summary>
    public const byte Password = (byte)'p';
}

/// <summary>First byte of each message that a server sends (PostgreSQL documentation §54.7, "B").</summary>
public static class BackendTag
{
    /// <summary>ParseComplete.</summary>
    public const byte ParseComplete = (byte)'1';
    /// <summary>BindComplete.</summary>
    public const byte BindComplete = (byte)'2';
    /// <summary>CloseComplete.</summary>
    public const byte CloseComplete = (byte)'3';
    /// <summary>NotificationResponse.</summary>
    public const byte Notification = (byte)'A';
    /// <summary>CommandComplete.</summary>
    public const byte CommandComplete = (byte)'C';
    /// <summary>DataRow.</summary>
    public const byte DataRow = (byte)'D';
    /// <summary>ErrorResponse.</summary>
    public const byte Error = (byte)'E';
    /// <summary>CopyInResponse.</summary>
    public const byte CopyIn = (byte)'G';
    /// <summary>CopyOutResponse.</summary>
    public const byte CopyOut = (byte)'H';
    /// <summary>EmptyQueryResponse.</summary>
    public const byte EmptyQuery = (byte)'I';
    /// <summary>BackendKeyData.</summary>
    public const byte KeyData = (byte)'K';
    /// <summary>NoticeResponse.</summary>
    public const byte Notice = (byte)'N';
    /// <summary>Authentication*, told apart by the first word of the body.</summary>
    public const byte Authentication = (byte)'R';
    /// <summary>ParameterStatus.</summary>
    public const byte ParameterStatus = (byte)'S';
    /// <summary>RowDescription.</summary>
    public const byte RowDescription = (byte)'T';
    /// <summary>FunctionCallResponse.</summary>
    public const byte FunctionCallResponse = (byte)'V';
    /// <summary>CopyBothResponse.</summary>
    public const byte CopyBoth = (byte)'W';
    /// <summary>ReadyForQuery.</summary>
    public const byte ReadyForQuery = (byte)'Z';
    /// <summary>CopyDone.</summary>
    public const byte CopyDone = (byte)'c';
    /// <summary>CopyData.</summary>
    public const byte CopyData = (byte)'d';
    /// <summary>NoData.</summary>
    public const byte NoData = (byte)'n';
    /// <summary>PortalSuspended.</summary>
    public const byte PortalSuspended = (byte)'s';
    /// <summary>ParameterDescription.</summary>
    public const byte ParameterDescription = (byte)'t';
    /// <summary>NegotiateProtocolVersion.</summary>
    public const byte NegotiateProtocolVersion = (byte)'v';
}
