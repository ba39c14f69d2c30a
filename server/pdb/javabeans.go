package pdb

import (
	"os"
	"runtime"
	"strconv"
)

// javaBeans tells clients that watch a JVM about the Go runtime, in the places
// where they look.
func (m *Metrics) javaBeans(f families) []bean {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	java := func(kind string, attrs map[string]any) bean {
		name := objectName{domain: "java.lang", keys: [][2]string{{"type", kind}}}
		attrs["ObjectName"] = map[string]any{"objectName": name.String()}
		return bean{name: name, class: "dalang.runtime." + kind, attrs: attrs}
	}
	collector := bean{
		name:  objectName{domain: "java.lang", keys: [][2]string{{"name", "Go"}, {"type", "GarbageCollector"}}},
		class: "dalang.runtime.GarbageCollector",
		attrs: map[string]any{
			"Name": "Go", "Valid": true, "CollectionCount": int64(mem.NumGC), "CollectionTime": int64(mem.PauseTotalNs / 1e6),
		},
	}
	threads, peak := m.threads()
	host, _ := os.Hostname()
	return []bean{
		collector,
		java("Memory", map[string]any{
			"ObjectPendingFinalizationCount": 0, "Verbose": false,
			"HeapMemoryUsage":    usage(mem.HeapSys-mem.HeapReleased, mem.HeapAlloc),
			"NonHeapMemoryUsage": usage(mem.Sys-mem.HeapSys, mem.StackInuse+mem.MSpanInuse+mem.MCacheInuse+mem.GCSys+mem.OtherSys),
		}),
		java("Threading", map[string]any{
			"ThreadCount": threads, "PeakThreadCount": peak, "DaemonThreadCount": threads, "TotalStartedThreadCount": peak,
		}),
		java("Runtime", map[string]any{
			"Name": strconv.Itoa(os.Getpid()) + "@" + host, "Pid": os.Getpid(),
			"StartTime": m.cfg.Started.UnixMilli(), "Uptime": m.cfg.Now().Sub(m.cfg.Started).Milliseconds(),
			"SpecName": "The Go Programming Language", "SpecVersion": runtime.Version(),
			"VmName": "Go", "VmVendor": runtime.Compiler, "VmVersion": runtime.Version(),
		}),
		java("OperatingSystem", map[string]any{
			"Name": runtime.GOOS, "Arch": runtime.GOARCH, "AvailableProcessors": runtime.NumCPU(),
			"OpenFileDescriptorCount":    int64(f.sum("process_open_fds", nil)),
			"MaxFileDescriptorCount":     int64(f.sum("process_max_fds", nil)),
			"ProcessCpuTime":             int64(f.sum("process_cpu_seconds_total", nil) * 1e9),
			"CommittedVirtualMemorySize": int64(f.sum("process_virtual_memory_bytes", nil)),
		}),
	}
}

// usage is java.lang.management.MemoryUsage; Go knows no fixed maximum.
func usage(committed, used uint64) map[string]any {
	return map[string]any{"init": 0, "committed": int64(max(committed, used)), "max": -1, "used": int64(used)}
}

// threads is the number of goroutines, and the most that were seen.
func (m *Metrics) threads() (now, peak int) {
	now = runtime.NumGoroutine()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peakThreads = max(m.peakThreads, now)
	return now, m.peakThreads
}
