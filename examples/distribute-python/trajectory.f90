! The flight of a ball with drag proportional to the square of its speed, by the midpoint rule.
! Reads gravity, drag, speed and angle (degrees) from standard input; prints time, distance and height.
program trajectory
  implicit none
  integer, parameter :: real64 = selected_real_kind(15)
  real(real64), parameter :: dt = 0.001_real64
  real(real64) :: gravity, drag, speed, angle, time
  real(real64) :: state(4), middle(4)
  integer :: step

  read *, gravity, drag, speed, angle
  angle = angle * acos(-1.0_real64) / 180
  state = [0.0_real64, 0.0_real64, speed * cos(angle), speed * sin(angle)]
  time = 0
  step = 0
  print '(a)', 'time,distance,height'
  do
    if (mod(step, 100) == 0) print '(f9.4, 2(a, f12.4))', time, ',', state(1), ',', state(2)
    middle = state + dt / 2 * slope(state)
    state = state + dt * slope(middle)
    time = time + dt
    step = step + 1
    if (state(2) < 0) exit
  end do
  print '(f9.4, 2(a, f12.4))', time, ',', state(1), ',', 0.0_real64

contains

  pure function slope(at) result(rate)
    real(real64), intent(in) :: at(4)
    real(real64) :: rate(4), pace
    pace = sqrt(at(3)**2 + at(4)**2)
    rate = [at(3), at(4), -drag * pace * at(3), -gravity - drag * pace * at(4)]
  end function slope
end program trajectory
