package embedded

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger hands the broker's messages to slog. What kfake calls information is one line a request: debugging, for us.
type logger struct{ *slog.Logger }

func (l logger) Logf(level kfake.LogLevel, format string, arguments ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelNone:
		return
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	case kfake.LogLevelInfo, kfake.LogLevelDebug:
	}
	if ctx := context.Background(); l.Enabled(ctx, to) {
		l.Log(ctx, to, "embedded broker: "+fmt.Sprintf(format, arguments...))
	}
}
