# go: os/exec, which since Go 1.23 holds its children by pidfds, and the netpoller's epoll.
needs=go
prepare() {
    cat >children.go <<'END'
package main

import (
    "fmt"
    "os"
    "os/exec"
    "sort"
    "sync"
)

func main() {
    var group sync.WaitGroup
    lines := make([]string, 12)
    for number := range lines {
        group.Add(1)
        go func(number int) {
            defer group.Done()
            command := exec.Command("sh", "-c", fmt.Sprintf("sleep 0.%d; sleep 1; echo %d; exit %d", number%10, number*3, number%5))
            output, err := command.Output()
            lines[number] = fmt.Sprintf("child %2d said %q: %v", number, output, err)
        }(number)
    }
    sleeper := exec.Command("sleep", "1000")
    if err := sleeper.Start(); err != nil {
        panic(err)
    }
    group.Wait()
    sort.Strings(lines)
    for _, line := range lines {
        fmt.Println(line)
    }
    if err := sleeper.Process.Signal(os.Kill); err != nil {
        panic(err)
    }
    fmt.Println("the sleeper:", sleeper.Wait())
}
END
    HOME=$PWD GOCACHE=$PWD/cache GOFLAGS=-mod=mod GO111MODULE=off go build -o children children.go
    chmod -R u+w cache
    rm -rf cache
}
start() { exec ./children; }
check() { same stdout.txt stderr.txt; }
