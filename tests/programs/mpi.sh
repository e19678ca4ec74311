# An MPI job on one host: mpirun and its ranks, which talk by shared memory, pipes and sockets while they wait for each other busily.
needs="mpicc mpirun"
prepare() {
    cat >ring.c <<'END'
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    MPI_Init(&count, &arguments);
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    static double sent[4096], received[4096];
    double sum = 0;
    for (int i = 0; i < 4096; i++)
        sent[i] = rank + i;
    for (int round = 0; round < 300; round++) {
        // Large enough for the rendezvous protocol, not only for what is copied at once.
        MPI_Sendrecv(sent, 4096, MPI_DOUBLE, (rank + 1) % ranks, round, received, 4096, MPI_DOUBLE, (rank + ranks - 1) % ranks, round, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        for (int i = 0; i < 4096; i++)
            sent[i] = received[(i + 1) % 4096] * 0.999 + i;
        MPI_Allreduce(sent, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        if (rank == 0 && round % 50 == 0)
            printf("%d %.15g\n", round, sum);
        usleep(8000);
    }
    if (rank == 0)
        printf("%.15g\n", sum);
    return MPI_Finalize();
}
END
    mpicc -O2 ring.c -o ring
}
start() {
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 TMPDIR=$PWD
    exec mpirun -np 3 ./ring
}
check() { same stdout.txt && [[ $(wc -l <stdout.txt) -eq 7 ]]; }
